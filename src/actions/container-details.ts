/** `kiln inspect` of a container: the fields and names of `docker container inspect` for what kiln knows of one. */
import type { Container } from '../store/container-store.ts';

/** What a container that has not run, or not ended, has in the place of a time. */
const NEVER = '0001-01-01T00:00:00Z';

export function containerDetails(container: Container): object {
  const { command, config, status } = container;
  return {
    Id: container.id,
    Created: container.created,
    Path: command[0] ?? '',
    Args: command.slice(1),
    State: {
      Status: status,
      Running: status === 'running',
      ExitCode: container.exitCode ?? 0,
      StartedAt: container.started ?? NEVER,
      FinishedAt: container.finished ?? NEVER,
    },
    Image: container.imageId,
    // As docker writes it.
    Name: `/${container.name}`,
    Driver: container.snapshotter ?? '',
    HostConfig: { AutoRemove: container.autoRemove },
    Config: { ...config, Image: container.image },
    ImageManifestDescriptor: container.manifest,
  };
}
