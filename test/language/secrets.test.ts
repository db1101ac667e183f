import { runTable } from './run-table.ts';
import { cases } from './secrets.cases.ts';

runTable('secrets', cases, 'kilntest');
