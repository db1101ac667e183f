import { runTable } from './run-table.ts';
import { cases } from './workdir-user.cases.ts';

runTable('workdir-user', cases, 'kilntest');
