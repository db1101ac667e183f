/** The ladder of sandboxes (DESIGN D5): an OCI runtime, else chroot, and never a silent step down. */
import { BuildError } from '../errors.ts';
import { ChrootSandbox, chrootPermitted } from './chroot-sandbox.ts';
import type { NamespaceSetup } from './namespace-wire.ts';
import { findNetworkTools } from './network.ts';
import { findOciRuntime, noRuntime, OciSandbox } from './oci-sandbox.ts';
import { installCommand } from './remedies.ts';
import type { IsolationName, Sandbox } from './sandbox.ts';

export interface SandboxChoice {
  readonly sandbox: Sandbox;
  /** Why this one, for -v and doctor: one sentence. */
  readonly reason: string;
}

export interface SandboxQuestion {
  /** `--isolation`. */
  readonly isolation: 'auto' | IsolationName;
  /** What the namespace has (`serveNamespace` passes it in). */
  readonly setup: NamespaceSetup;
  /** PATH. */
  readonly searchPath: string | undefined;
}

/** Chooses inside the namespace. Fails when the forced one, or every one, is impossible here. */
export function chooseSandbox({ isolation, setup, searchPath }: SandboxQuestion): SandboxChoice {
  const tools = findNetworkTools(searchPath);
  const chroot = (reason: string): SandboxChoice => {
    if (!chrootPermitted()) throw noSandbox();
    return { sandbox: new ChrootSandbox({ setup, tools, searchPath }), reason };
  };
  if (isolation === 'chroot') return chroot('--isolation chroot');
  if (isolation === 'auto') {
    if (setup.mode === 'none') return chroot('this container lets root make no namespaces');
    if (!setup.pidNamespace) {
      return chroot('/proc is masked here, and an OCI runtime needs to mount a fresh one');
    }
  } else if (setup.mode === 'none') {
    throw new BuildError('HOST_NO_SANDBOX', 'An OCI runtime needs namespaces, and none can be made here.', {
      suggestions: ['Leave --isolation out: kiln then uses chroot.'],
    });
  }
  const runtime = findOciRuntime(searchPath);
  if (runtime !== undefined) {
    const reason = isolation === 'oci' ? '--isolation oci' : 'an OCI runtime is installed';
    return { sandbox: new OciSandbox(runtime, tools, searchPath), reason };
  }
  if (isolation === 'oci') throw noRuntime();
  return chroot('neither crun nor runc is installed');
}

function noSandbox(): BuildError {
  return new BuildError(
    'HOST_NO_SANDBOX',
    'RUN is impossible here: there is no namespace to run it in, and chroot is not permitted.',
    {
      suggestions: [
        'Give the container the capability SYS_CHROOT (Docker has it by default), or allow user namespaces.',
        installCommand('runtime'),
      ],
    },
  );
}
