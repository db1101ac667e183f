import { cases } from './copy-links.cases.ts';
import { runTable } from './run-table.ts';

runTable('copy-links', cases, 'root');
