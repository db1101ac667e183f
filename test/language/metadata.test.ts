import { cases } from './metadata.cases.ts';
import { runTable } from './run-table.ts';

runTable('metadata', cases, 'root');
