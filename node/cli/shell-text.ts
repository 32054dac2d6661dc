/** Words of a command line for a shell on the other side. */

/** The shell gets the words quoted, so that they arrive as they were typed; one word alone is taken as shell text. */
export function shellText (words: string[]): string {
  return words.length === 1 ? words[0] ?? '' : words.map((word) => `'${word.replaceAll('\'', '\'\\\'\'')}'`).join(' ')
}
