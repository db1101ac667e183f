import { cases } from './copy-flags.cases.ts';
import { runTable } from './run-table.ts';

runTable('copy-flags', cases, 'kilntest');
