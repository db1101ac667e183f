import { cases } from './workdir-user.cases.ts';
import { runTable } from './run-table.ts';

runTable('workdir-user', cases);
