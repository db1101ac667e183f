import { cases } from './expansion.cases.ts';
import { runTable } from './run-table.ts';

runTable('expansion', cases, 'root');
