/** Signal names of Linux, for STOPSIGNAL. */

const NAMES = new Set(
  (
    'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM ' +
    'TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX'
  ).split(' '),
);

/** True for a signal number, or a name with or without SIG, in any case, RTMIN+n and RTMAX-n included. */
export function isSignal(text: string): boolean {
  if (/^[+-]?\d+$/.test(text)) return Number(text) !== 0;
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realtime = /^(?:RTMIN\+(\d+)|RTMAX-(\d+))$/.exec(name);
  if (realtime !== null) {
    const distance = Number(realtime[1] ?? realtime[2]);
    return distance >= 1 && distance <= (realtime[1] === undefined ? 14 : 15);
  }
  return NAMES.has(name);
}
