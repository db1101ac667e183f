import { cases } from './mounts.cases.ts';
import { runTable } from './run-table.ts';

runTable('mounts', cases, 'kilntest');
