import { cases } from './heredoc.cases.ts';
import { runTable } from './run-table.ts';

runTable('heredoc', cases, 'kilntest');
