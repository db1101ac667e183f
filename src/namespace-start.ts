/** The first file that runs inside the namespace: hands over to namespace-main with the code compiled in earlier runs. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { codeCacheDirectory, loadProgram } from './system/code-cache.ts';

const cache = codeCacheDirectory(process.env);
if (cache !== undefined) enableCompileCache(cache);
const kept = cache === undefined ? undefined : join(cache, 'namespace.code');
const { remember } = loadProgram(join(__dirname, 'namespace-main.cjs'), kept);
process.once('exit', remember);
