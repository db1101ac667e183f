import { runTable } from './run-table.ts';
import { cases } from './stages.cases.ts';

runTable('stages', cases, 'root');
