/** ONBUILD: what is recorded, when triggers run, in what order, with what. */
import { fails, file, type LanguageCase, layer, note } from './case.ts';

const ONBUILD_BASE = `
  FROM @busybox AS base
  ONBUILD ARG who=nobody
  ONBUILD COPY f /from-context
  ONBUILD RUN echo "$who $(cat /from-context)" > /ran
  ONBUILD ENV triggered=yes
  ONBUILD WORKDIR /w
  LABEL in=base
`;

export const cases: readonly LanguageCase[] = [
  {
    name: 'triggers are recorded and not run',
    dockerfile: 'FROM scratch\nONBUILD COPY . /x\nonbuild run  echo  "a $b" \\\n  && c\nONBUILD CMD ["x"]\n',
    config: { OnBuild: ['COPY . /x', 'run  echo  "a $b"   && c', 'CMD ["x"]'] },
    history: [],
    layers: 0,
  },
  {
    name: 'triggers run first in the stage built on it, in order, and not in the image after it',
    dockerfile: `${ONBUILD_BASE}
  FROM base
  RUN cp /ran /seen
`,
    context: { f: 'content' },
    args: ['--build-arg', 'who=me'],
    files: { seen: file('me content\n'), 'from-context': file('content') },
    prints: /\] ONBUILD COPY f \/from-context\n.*\] RUN cp \/ran \/seen\n/s,
    config: { OnBuild: undefined, WorkingDir: '/w', Labels: { in: 'base' } },
    history: [
      note('LABEL in=base'),
      note('ARG who=me'),
      layer('COPY f /from-context # buildkit'),
      layer('RUN |1 who=me /bin/sh -c echo "$who $(cat /from-context)" > /ran # buildkit'),
      note('ENV triggered=yes'),
      layer('WORKDIR /w'),
      layer('RUN |1 who=me /bin/sh -c cp /ran /seen # buildkit'),
    ],
  },
  {
    name: 'triggers do not run for a stage on the stage that ran them',
    dockerfile: 'FROM scratch AS a\nONBUILD COPY f /once\nFROM a AS b\nFROM b\nCOPY f /last\n',
    context: { f: 'f' },
    layers: 2,
    history: ['COPY f /once # buildkit', 'COPY f /last # buildkit'],
  },
  {
    name: 'triggers run again for each stage on the stage that has them',
    dockerfile: 'FROM scratch AS a\nONBUILD LABEL t=1\nFROM a AS b\nLABEL b=1\nFROM a\nLABEL c=1\n',
    config: { Labels: { t: '1', c: '1' } },
  },
  {
    name: 'COPY --from does not run triggers',
    dockerfile: 'FROM scratch AS a\nCOPY f /f\nONBUILD RUN false\nFROM scratch\nCOPY --from=a /f /f\n',
    context: { f: 'f' },
    files: { f: file('f') },
  },
  {
    name: 'triggers of an image in the store',
    before: ['FROM scratch\nONBUILD COPY f /f\nONBUILD LABEL a=1\n'],
    dockerfile: 'FROM triggers\n',
    args: ['--load', '-t', 'triggers'],
    context: { f: 'f' },
    files: { f: file('f') },
    config: { OnBuild: undefined, Labels: { a: '1' } },
  },
  {
    name: 'ONBUILD COPY --from a stage of the Dockerfile that uses it',
    before: ['FROM scratch\nONBUILD COPY --from=tools /tool /bin/tool\n'],
    dockerfile: 'FROM scratch AS tools\nCOPY f /tool\nFROM triggers2\n',
    args: ['--load', '-t', 'triggers2'],
    context: { f: 'f' },
    files: { 'bin/tool': file('f') },
  },
  {
    name: 'ONBUILD RUN --mount from a stage',
    before: ['FROM @busybox\nONBUILD RUN --mount=from=tools,target=/t cp /t/tool /copied\n'],
    dockerfile: 'FROM scratch AS tools\nCOPY f /tool\nFROM triggers3\n',
    args: ['--load', '-t', 'triggers3'],
    context: { f: 'f' },
    files: { copied: file('f') },
  },
  {
    name: 'ONBUILD COPY --from an image',
    dockerfile: 'FROM scratch AS a\nONBUILD COPY --from=@busybox /etc/passwd /p\nFROM a\n',
    files: { p: file(/^root/) },
  },
  {
    name: 'ONBUILD with a heredoc',
    dockerfile:
      'FROM @busybox AS a\nONBUILD RUN <<EOF\necho here > /out\nEOF\nONBUILD COPY <<F /doc\n$v\nF\nFROM a\nENV v=1\n',
    files: { out: file('here\n'), doc: file('\n') },
  },
  {
    name: 'ONBUILD CMD and ENTRYPOINT count as the stage’s own',
    dockerfile: 'FROM @busybox AS a\nONBUILD CMD ["own"]\nFROM a\nENTRYPOINT ["/e"]\n',
    config: { Cmd: ['own'], Entrypoint: ['/e'] },
  },
  {
    name: 'ONBUILD of an inherited and of an own trigger',
    dockerfile: 'FROM scratch AS a\nONBUILD LABEL a=1\nFROM a\nONBUILD LABEL b=1\n',
    config: { OnBuild: ['LABEL b=1'], Labels: { a: '1' } },
  },
  {
    name: 'a trigger that fails is shown at the FROM',
    dockerfile: 'FROM @busybox AS a\nONBUILD RUN exit 3\n\nFROM a\n',
    error: fails('RUN_FAILED', 1, { line: 4, message: /exit code: 3/ }),
  },
  {
    name: 'a trigger with a missing source is shown at the FROM',
    dockerfile: 'FROM scratch AS a\nONBUILD COPY none /x\n\nFROM a\n',
    error: fails('COPY_SOURCE_NOT_FOUND', 1, { line: 4 }),
  },
  {
    name: 'a wrong flag in a trigger shows when it is used',
    dockerfile: 'FROM scratch AS a\nONBUILD COPY --nope a /x\nFROM a\n',
    error: fails('DOCKERFILE_UNKNOWN_FLAG', 2, { line: 3 }),
  },
  {
    name: 'ONBUILD ONBUILD',
    dockerfile: 'FROM scratch\nONBUILD ONBUILD RUN x\n',
    error: fails('DOCKERFILE_ONBUILD', 2, { line: 2 }),
  },
  {
    name: 'ONBUILD FROM',
    dockerfile: 'FROM scratch\nONBUILD FROM x\n',
    error: fails('DOCKERFILE_ONBUILD', 2, { line: 2 }),
  },
  {
    name: 'ONBUILD MAINTAINER',
    dockerfile: 'FROM scratch\nONBUILD MAINTAINER x\n',
    error: fails('DOCKERFILE_ONBUILD', 2, { line: 2 }),
  },
  {
    name: 'ONBUILD alone',
    dockerfile: 'FROM scratch\nONBUILD\n',
    error: fails('DOCKERFILE_ARGUMENTS', 2, { line: 2 }),
  },
];
