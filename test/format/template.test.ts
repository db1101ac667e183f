import { describe, expect, test } from 'vitest';
import { Template } from '../../src/format/template.ts';

const DATA = {
  ID: 'abc',
  Name: 'app',
  Empty: '',
  Zero: 0,
  Size: 12,
  Tags: ['one', 'two'],
  None: [],
  Labels: { 'a.b': 'c', z: 'y' },
  Config: { Env: ['A=1', 'B=2'], User: 'me', Nothing: null, Healthy: true },
};

function run(template: string, data: unknown = DATA): string {
  return Template.parse(template).execute(data);
}

test.each([
  ['plain', 'plain'],
  ['{{.ID}}', 'abc'],
  ['{{ .ID }}-{{.Name}}', 'abc-app'],
  ['{{.Config.User}}', 'me'],
  ['{{$.Config.User}}', 'me'],
  ['{{(.Config).User}}', 'me'],
  ['{{.Config.Env}}', '[A=1 B=2]'],
  ['{{.Labels}}', 'map[a.b:c z:y]'],
  [
    '{{.Config.Healthy}} {{.Config.Nothing}} {{.Config.Missing}} {{.Config.Missing.More}}',
    'true <nil> <no value> <no value>',
  ],
  ['{{json .Labels}}', '{"a.b":"c","z":"y"}'],
  ['{{json .Config.Missing}}', 'null'],
  ['{{json .}}', JSON.stringify(DATA)],
  ['{{.Labels | json}}', '{"a.b":"c","z":"y"}'],
  ['{{range .Tags}}<{{.}}>{{end}}', '<one><two>'],
  ['{{range .None}}x{{else}}none{{end}}', 'none'],
  ['{{range $i, $t := .Tags}}{{$i}}={{$t}} {{$.ID}};{{end}}', '0=one abc;1=two abc;'],
  ['{{range $key, $value := .Labels}}{{$key}}:{{$value}},{{end}}', 'a.b:c,z:y,'],
  ['{{range .Config.Missing}}x{{end}}', ''],
  ['{{if .Empty}}a{{else if .Zero}}b{{else}}c{{end}}', 'c'],
  ['{{if .Empty}}a{{else if .Size}}b{{else}}c{{end}}!', 'b!'],
  ['{{if and .Name .Size}}yes{{end}}', 'yes'],
  ['{{if or .Empty .Zero}}yes{{else}}no{{end}}', 'no'],
  ['{{if not .None}}yes{{end}}', 'yes'],
  ['{{if eq .Name "web" "app"}}yes{{end}}{{if ne .Size 12}}no{{end}}', 'yes'],
  ['{{if gt .Size 3}}big{{end}} {{lt "a" "b"}} {{le 1 1}} {{ge 1 2}}', 'big true true false'],
  ['{{with .Config}}{{.User}}{{end}}{{with .Empty}}x{{else}}y{{end}}', 'mey'],
  ['{{len .Tags}} {{len .Name}} {{len .Labels}} {{len .Config.Missing}}', '2 3 2 0'],
  ['{{join .Tags ", "}}{{join .Config.Missing ","}}', 'one, two'],
  ['{{upper .Name}} {{lower "ABC"}} {{title "two words"}}', 'APP abc Two Words'],
  ['{{.Name | upper | printf "%-5s|"}}', 'APP  |'],
  ['{{printf "%s %d %q %5v %.2s%%" .Name .Size .ID .Size "long"}}', 'app 12 "abc"    12 lo%'],
  [
    '{{index .Labels "a.b"}}{{index .Labels "nothing"}} {{index .Tags 1}} {{index .Config "Env" 0}}',
    'c two A=1',
  ],
  ['{{split "a:b" ":"}} {{truncate .Config.User 1}} [{{pad .ID 1 2}}]', '[a b] m [ abc  ]'],
  ['{{print "a" 1 2 "b"}}{{println .ID .Size}}', 'a1 2babc 12\n'],
  ['{{.ID}}\\t{{.Name}}\\n', 'abc\tapp\n'],
  ['{{"a\\tb"}}{{`raw\\t`}}{{"\\"\\u00e9"}}', 'a\tbraw\\t"é'],
  ['a {{- .ID -}} b {{/* a comment */}}c{{- /* and one */ -}}  d', 'aabcb cd'],
  ['{{$x := .ID}}{{if .Name}}{{$x = "new"}}{{end}}{{$x}}', 'new'],
  ['{{$x := .ID}}{{if .Name}}{{$x := "inner"}}{{$x}}{{end}}{{$x}}', 'innerabc'],
  ['{{true}} {{false}} {{1.5}} {{-2}} {{""}}', 'true false 1.5 -2 '],
  ['{{len (join .Tags "")}}', '6'],
])('%s', (template, expected) => {
  expect(run(template)).toBe(expected);
});

describe('what is wrong is shown where it is', () => {
  test.each([
    ['{{.ID', 6, 'not closed'],
    ['{{.ID}} {{.Nmae}}', 11, 'no field .Nmae (there are ID, Name'],
    ['{{foo .ID}}', 3, 'no function "foo"'],
    ['{{}}', 3, 'a value is missing'],
    ['{{.ID | }}', 9, 'a value is missing'],
    ['{{if .ID}}x', 3, '{{if}} has no {{end}}'],
    ['{{range .Tags}}{{else}}a{{else}}b{{end}}', 27, 'second {{else}}'],
    ['{{end}}', 1, '{{end}} belongs to no'],
    ['{{"open}}', 3, 'the string is not closed'],
    ['{{.ID "x"}}', 7, 'only a function takes arguments'],
    ['{{.ID | .Name}}', 9, 'only a function can stand behind |'],
    ['{{upper}}', 3, 'upper takes 1 values and has 0'],
    ['{{upper .ID .Name}}', 3, 'upper takes 1 values and has 2'],
    ['{{$x}}', 3, 'no variable $x'],
    ['{{template "x"}}', 3, '{{template}} is not supported'],
    ['{{(.ID}}', 7, 'a ) is missing'],
    ['{{.ID.More}}', 3, 'abc has no field .More'],
    ['{{range .Size}}{{end}}', 9, 'range needs a list'],
    ['{{len .Size}}', 3, '12 has no length'],
    ['{{index .Tags 9}}', 3, 'out of range'],
    ['{{index .Tags "x"}}', 3, 'indexed by numbers'],
    ['{{join .Name ","}}', 3, 'app is no list'],
    ['{{printf "%x" 1}}', 3, '%x is not supported'],
    ['{{"\\q"}}', 3, 'escape \\q'],
    ['{{.ID ? .Name}}', 7, '"?" is not understood'],
    ['{{.constructor}}', 3, 'no field .constructor'],
    ['{{lt .ID .Size}}', 3, 'cannot be compared'],
  ])('%s', (template, character, why) => {
    const wrong = (): unknown => run(template);
    expect(wrong).toThrow(expect.objectContaining({ code: 'USAGE_FORMAT' }));
    expect(wrong).toThrow(why);
    expect(wrong).toThrow(character > template.length ? 'at the end' : `at character ${character}:`);
  });
});

test('long templates and deep nesting end with an answer', () => {
  expect(run('{{.ID}}'.repeat(20_000))).toHaveLength(60_000);
  expect(run(`${'{{if .ID}}'.repeat(500)}x${'{{end}}'.repeat(500)}`)).toBe('x');
});
