/** Colours, or none: decided once, outside. */
import { styleText } from 'node:util';

/** Paints a text; the identity when colours are off. */
export type Paint = (text: string) => string;

/** The few colours of kiln's messages. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

/** A style that paints, or one that leaves every text as it is. */
export function createStyle(color: boolean): Style {
  const paint = (format: Parameters<typeof styleText>[0]): Paint => {
    if (!color) return (text) => text;
    // The stream is not asked: whether to paint was decided by whoever knows the stream and the environment.
    return (text) => (text === '' ? '' : styleText(format, text, { validateStream: false }));
  };
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  };
}
