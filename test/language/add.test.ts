import { cases } from './add.cases.ts';
import { runTable } from './run-table.ts';

runTable('add', cases, 'root');
