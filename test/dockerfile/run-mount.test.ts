import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitCsv } from '../../src/dockerfile/csv.ts';
import { parseRunMount, readMountFrom } from '../../src/dockerfile/run-mount.ts';
import { checkRunNetwork, checkRunSecurity, parseRunDevice } from '../../src/dockerfile/run-options.ts';
import { errorOf } from './read.ts';

function parse(raw: string) {
  return parseRunMount(raw, (value) => value);
}

const bind = { type: 'bind', source: '', readOnly: true };
const cache = { type: 'cache', source: '', readOnly: false, sharing: 'shared' };

describe('parseRunMount', () => {
  it.each([
    ['target=/a', { ...bind, target: '/a' }],
    ['type=bind,dst=/a,src=b,from=c', { ...bind, target: '/a', source: 'b', from: 'c' }],
    ['TYPE=BIND,Destination=/a,SOURCE=b', { ...bind, target: '/a', source: 'b' }],
    ['type=bind', { ...bind, target: '' }],
    ['target=/a,rw', { ...bind, target: '/a', readOnly: false }],
    ['target=/a,readwrite=true', { ...bind, target: '/a', readOnly: false }],
    ['target=/a,rw=false', { ...bind, target: '/a', readOnly: true }],
    ['target=/a,ro=0', { ...bind, target: '/a', readOnly: false }],
    ['type=cache,target=/a', { ...cache, target: '/a' }],
    ['type=cache,target=/a,ro', { ...cache, target: '/a', readOnly: true }],
    ['type=cache,target=/a,readonly=T,id=x', { ...cache, target: '/a', readOnly: true, id: 'x' }],
    ['type=cache,target=/a,sharing=LOCKED', { ...cache, target: '/a', sharing: 'locked' }],
    ['type=cache,target=/a,sharing=private', { ...cache, target: '/a', sharing: 'private' }],
    [
      'type=cache,target=/a,mode=0755,uid=1000,gid=0',
      { ...cache, target: '/a', mode: 0o755, uid: 1000, gid: 0 },
    ],
    ['type=cache,target=/a,from=b,source=/c', { ...cache, target: '/a', from: 'b', source: '/c' }],
    ['type=tmpfs,target=/a', { type: 'tmpfs', target: '/a', readOnly: false }],
    ['type=tmpfs,target=/a,size=1024', { type: 'tmpfs', target: '/a', readOnly: false, size: 1024 }],
    ['type=tmpfs,target=/a,size=1.5k', { type: 'tmpfs', target: '/a', readOnly: false, size: 1536 }],
    ['type=tmpfs,target=/a,size=64MiB', { type: 'tmpfs', target: '/a', readOnly: false, size: 64 * 2 ** 20 }],
    ['type=tmpfs,target=/a,size=2 gb', { type: 'tmpfs', target: '/a', readOnly: false, size: 2 * 2 ** 30 }],
    ['type=tmpfs,target=/a,size=10B', { type: 'tmpfs', target: '/a', readOnly: false, size: 10 }],
    ['type=tmpfs,target=/a,size=0', { type: 'tmpfs', target: '/a', readOnly: false }],
    ['type=secret,id=a', { type: 'secret', id: 'a', required: false }],
    ['type=secret,source=a', { type: 'secret', id: 'a', required: false }],
    ['type=secret,target=/x/y/', { type: 'secret', id: 'y', target: '/x/y/', required: false }],
    ['type=secret,id=a,required,env=A', { type: 'secret', id: 'a', required: true, env: 'A' }],
    ['type=secret,id=a,required=false,env=', { type: 'secret', id: 'a', required: false, env: '' }],
    ['type=secret,id=a,mode=400,uid=1', { type: 'secret', id: 'a', required: false, mode: 0o400, uid: 1 }],
    ['type=ssh', { type: 'ssh', required: false }],
    [
      'type=ssh,id=a,target=/s,required,mode=0600',
      { type: 'ssh', id: 'a', target: '/s', required: true, mode: 0o600 },
    ],
    ['type=bind,"target=/a,b","source=""q"""', { ...bind, target: '/a,b', source: '"q"' }],
  ])('%s', (raw, mount) => {
    expect(parse(raw)).toEqual(mount);
  });

  it.each([
    ['', 'failed to parse csv mounts: EOF'],
    [
      '"a',
      'failed to parse csv mounts: parse error on line 1, column 2: extraneous or missing " in quoted-field',
    ],
    [
      '"a"b',
      'failed to parse csv mounts: parse error on line 1, column 3: extraneous or missing " in quoted-field',
    ],
    ['a"b', 'failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted-field'],
    ['type=bnd,target=/a', 'unsupported mount type "bnd"'],
    ['target', "invalid field 'target' must be a key=value pair"],
    ['target=/a,foo', "invalid field 'foo' must be a key=value pair"],
    ['tagret=/a', "unexpected key 'tagret' in 'tagret=/a'"],
    ['target=/a,', "invalid field '' must be a key=value pair"],
    ['target=/a,ro=maybe', 'invalid value for ro: maybe'],
    ['target=/a,rw=2', 'invalid value for rw: 2'],
    ['type=secret,id=a,required=x', 'invalid value for required: x'],
    ['target=/a,required', "unexpected key 'required' for mount type 'bind'"],
    ['required,type=secret,id=a', "unexpected key 'required' for mount type 'bind'"],
    ['type=cache,target=/a,size=1', "unexpected key 'size' for mount type 'cache'"],
    ['type=tmpfs,target=/a,size=x', 'invalid value for size: x'],
    ['type=tmpfs,target=/a,size=-1', 'invalid value for size: -1'],
    ['type=tmpfs,target=/a,size=1ib', 'invalid value for size: 1ib'],
    ['type=cache,target=/a,sharing=lock', 'unsupported sharing value "lock"'],
    ['type=cache,target=/a,mode=0999', 'invalid value 0999 for mode'],
    ['type=cache,target=/a,uid=root', 'invalid value root for uid'],
    ['type=cache,target=/a,gid=4294967296', 'invalid value 4294967296 for gid'],
    ['type=cache,target=/a,gid=', 'invalid value  for gid'],
    ['target=/a,mode=0755', 'mode not allowed for "bind" type mounts'],
    ['type=tmpfs,target=/a,uid=1', 'uid not allowed for "tmpfs" type mounts'],
    ['target=/a,gid=1', 'gid not allowed for "bind" type mounts'],
    ['target=/a,sharing=locked', 'invalid cache sharing set for bind mount'],
    ['type=secret,id=a,from=b', 'secret mount should not have a from'],
    ['type=secret,id=a,sharing=shared', 'secret mount should not define sharing'],
    ['type=secret', 'invalid secret mount. one of source, target required'],
    ['type=secret,id=a,source=b', "both source and id can't be set"],
    ['type=ssh,source=a', 'ssh does not support source'],
  ])('%s is refused: %s', (raw, message) => {
    const error = errorOf(() => parse(raw));
    expect(error).toMatchObject({ code: 'DOCKERFILE_MOUNT', message });
    expect(error.suggestions).not.toHaveLength(0);
  });

  it.each([
    ['type=cahce,target=/a', 'Did you mean cache?'],
    ['tagret=/a', 'Did you mean target?'],
    ['type=cache,sharing=loked', 'Did you mean locked?'],
  ])('%s gets the suggestion %s', (raw, suggestion) => {
    expect(errorOf(() => parse(raw)).suggestions[0]).toBe(suggestion);
  });

  it('expands values and no keys', () => {
    const seen: string[] = [];
    const mount = parseRunMount('type=$T,target=$D,ro', (value) => {
      seen.push(value);
      return value === '$T' ? 'cache' : '/d';
    });
    expect(seen).toEqual(['$T', '$D']);
    expect(mount).toMatchObject({ type: 'cache', target: '/d', readOnly: true });
  });

  it('lets errors of the expansion through', () => {
    const failure = new Error('no');
    expect(() =>
      parseRunMount('target=$x', () => {
        throw failure;
      }),
    ).toThrow(failure);
  });
});

describe('readMountFrom', () => {
  it.each([
    ['type=bind,from=a,target=/b', 'a'],
    ['FROM=a', 'a'],
    ['from=', undefined],
    ['from=a$', 'a$'],
    ['from', undefined],
    ['type=$x,target=$y', undefined],
    ['from=a,from=b', 'b'],
  ])('%s gives %s', (raw, from) => {
    expect(readMountFrom(raw)).toBe(from);
  });

  it.each(['from=$a', 'from=a${b}', 'from=$$'])('refuses %s', (raw) => {
    expect(errorOf(() => readMountFrom(raw)).message).toBe(
      "'from' doesn't support variable expansion, define alias stage instead",
    );
  });
});

describe('other flags of RUN', () => {
  it.each([
    ['vendor.com/class=name', { name: 'vendor.com/class=name', required: false }],
    ['name=a,required', { name: 'a', required: true }],
    ['a,required=false', { name: 'a', required: false }],
    ['required,a', { name: 'a', required: true }],
    ['name', { name: 'name', required: false }],
  ])('--device=%s', (raw, device) => {
    expect(parseRunDevice(raw)).toEqual(device);
  });

  it.each([
    ['a,b', "invalid field 'b' must be a key=value pair"],
    ['a,name=b', 'device name already set to a'],
    ['a,reqired=true', "unexpected key 'reqired' in 'reqired=true'"],
    ['a,required=x', 'invalid value for required: x'],
    [
      '"',
      'failed to parse csv devices: parse error on line 1, column 2: extraneous or missing " in quoted-field',
    ],
  ])('--device=%s is refused: %s', (raw, message) => {
    expect(errorOf(() => parseRunDevice(raw))).toMatchObject({ code: 'DOCKERFILE_FLAG', message });
  });

  it('--network and --security know their values', () => {
    for (const value of ['default', 'none', 'host']) expect(() => checkRunNetwork(value)).not.toThrow();
    for (const value of ['sandbox', 'insecure']) expect(() => checkRunSecurity(value)).not.toThrow();
    expect(() => checkRunNetwork('')).toThrow('invalid network mode ""');
    expect(() => checkRunSecurity('')).toThrow('security "" is not valid');
  });
});

describe('splitCsv', () => {
  it('reads back any fields', () => {
    const field = fc.string({ unit: fc.constantFrom('a', ',', '"', '=', ' '), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(field, { minLength: 1 }), fc.boolean(), (fields, always) => {
        const encode = (text: string) =>
          always || /[",]/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text;
        expect(splitCsv(fields.map(encode).join(','))).toEqual(fields);
      }),
    );
  });

  it.each([
    ['a,', ['a', '']],
    [',', ['', '']],
    ['a\n', ['a']],
    ['a\r\n', ['a']],
    ['"a",', ['a', '']],
  ])('%j gives %j', (text, fields) => {
    expect(splitCsv(text)).toEqual(fields);
  });
});
