import { cases } from './copy.cases.ts';
import { runTable } from './run-table.ts';

runTable('copy', cases, 'root');
