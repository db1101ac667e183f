import { cases } from './onbuild.cases.ts';
import { runTable } from './run-table.ts';

runTable('onbuild', cases, 'kilntest');
