import { describe, expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

async function configOf(lines: string) {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`ARG BASE\nFROM $BASE\n${lines}\n`);
  image.validate();
  return image.config.config;
}

describe('ENTRYPOINT and CMD', () => {
  test.each([
    ['CMD ["a", "b c"]', ['a', 'b c'], undefined],
    ['CMD a "b c"', ['/bin/sh', '-c', 'a "b c"'], undefined],
    ['ENTRYPOINT ["e"]\nCMD ["c"]', ['c'], ['e']],
    ['ENTRYPOINT e $X', undefined, ['/bin/sh', '-c', 'e $X']],
    ['CMD ["c"]\nENTRYPOINT ["e"]', ['c'], ['e']],
    ['ENTRYPOINT ["e"]', undefined, ['e']],
    ['CMD ["first"]\nCMD ["last"]', ['last'], undefined],
    ["CMD ['not', 'json']", ['/bin/sh', '-c', "['not', 'json']"], undefined],
    ['CMD []', undefined, undefined],
    ['SHELL ["/bin/ash", "-ec"]\nCMD x', ['/bin/ash', '-ec', 'x'], undefined],
  ])('%s', async (lines, command, entrypoint) => {
    const config = await configOf(lines);
    const empty = (value: readonly string[] | undefined) => (value?.length ? value : undefined);
    expect(empty(config.Cmd)).toEqual(command);
    expect(empty(config.Entrypoint)).toEqual(entrypoint);
  });
});

test('EXPOSE: ports, protocols, ranges, variables', async () => {
  const config = await configOf('ARG P=9000\nEXPOSE 80 53/udp 8000-8002/tcp $P\nEXPOSE 80/tcp');
  expect(Object.keys(config.ExposedPorts ?? {}).sort()).toEqual([
    '53/udp',
    '80/tcp',
    '8000/tcp',
    '8001/tcp',
    '8002/tcp',
    '9000/tcp',
  ]);
});

test('VOLUME: both forms; a later RUN may still change what is there', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`
    ARG BASE
    FROM $BASE
    VOLUME /one /two
    VOLUME ["/with space"]
    RUN mkdir -p /one && echo kept > /one/file
  `);
  expect(Object.keys(image.config.config.Volumes ?? {}).sort()).toEqual(['/one', '/two', '/with space']);
  expect(image.text('one/file')).toBe('kept\n');
});

test('HEALTHCHECK: options in nanoseconds, both forms, NONE', async () => {
  const seconds = (count: number) => count * 1e9;
  const exec = await configOf(
    'HEALTHCHECK --interval=5m --timeout=1.5s --start-period=10s --start-interval=2s --retries=4 CMD ["true", "x"]',
  );
  expect(exec.Healthcheck).toEqual({
    Test: ['CMD', 'true', 'x'],
    Interval: seconds(300),
    Timeout: seconds(1.5),
    StartPeriod: seconds(10),
    StartInterval: seconds(2),
    Retries: 4,
  });
  const shell = await configOf('HEALTHCHECK CMD curl -f $URL || exit 1');
  expect(shell.Healthcheck).toEqual({ Test: ['CMD-SHELL', 'curl -f $URL || exit 1'] });
  const none = await configOf('HEALTHCHECK NONE');
  expect(none.Healthcheck).toEqual({ Test: ['NONE'] });
});

test('STOPSIGNAL, USER, MAINTAINER', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(
    'ARG BASE\nFROM $BASE\nMAINTAINER A Name <a@example.com>\nSTOPSIGNAL SIGQUIT\nUSER 10:20\n',
  );
  expect(image.config.author).toBe('A Name <a@example.com>');
  expect(image.config.config).toMatchObject({ StopSignal: 'SIGQUIT', User: '10:20' });
});

test('SHELL runs what follows, until the next one', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`
    ARG BASE
    FROM $BASE
    SHELL ["/bin/sh", "-eu", "-c"]
    RUN echo "$-" > /flags
    SHELL ["/bin/echo", "instead:"]
    RUN never run
    SHELL ["/bin/sh", "-c"]
    RUN echo back > /back
  `);
  expect(image.text('flags')).toMatch(/e.*u|u.*e/);
  expect(image.text('back')).toBe('back\n');
  expect(image.config.config.Shell).toEqual(['/bin/sh', '-c']);
});

test('WORKDIR: relative to the last, variables, made with the mode and owner docker gives', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`
    ARG BASE
    FROM $BASE
    ENV D=deep
    WORKDIR /a
    WORKDIR b/$D
    USER nobody
    WORKDIR ../made-as-nobody
    RUN pwd > /tmp/pwd
    WORKDIR /etc
  `);
  expect(image.config.config.WorkingDir).toBe('/etc');
  expect(image.text('tmp/pwd')).toBe('/a/b/made-as-nobody\n');
  expect(image.tree.get('a/b/deep')).toMatchObject({ mode: '755', owner: '0:0' });
  expect(image.tree.get('a/b/made-as-nobody')).toMatchObject({ type: 'directory', mode: '755' });
});

test('the config of the base is the ground', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(`
    ARG BASE
    FROM $BASE AS parent
    ENV A=1
    WORKDIR /w
    USER 5
    EXPOSE 1
    VOLUME /v
    LABEL l=1
    STOPSIGNAL 9
    ENTRYPOINT ["e"]
    CMD ["c"]
    FROM parent
    EXPOSE 2
    ENTRYPOINT ["other"]
  `);
  expect(image.config.config).toMatchObject({
    WorkingDir: '/w',
    User: '5',
    StopSignal: '9',
    Entrypoint: ['other'],
    Labels: { l: '1' },
  });
  expect(Object.keys(image.config.config.ExposedPorts ?? {})).toEqual(['1/tcp', '2/tcp']);
  expect(Object.keys(image.config.config.Volumes ?? {})).toEqual(['/v']);
  expect(image.config.config.Cmd ?? []).toEqual([]);
});
