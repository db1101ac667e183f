import { cases } from './run.cases.ts';
import { runTable } from './run-table.ts';

runTable('run', cases, 'kilntest');
