/** Errors that nobody caught while plants ran: in the daemon they would end the process. */

/** Tells of each rejection that nobody handles, until the returned function is called; a moment is left for the last ones to show. */
export function watchEscapes (onEscape: (text: string) => void): () => Promise<void> {
  const tell = (reason: unknown): void => { onEscape(reason instanceof Error ? reason.stack ?? reason.message : String(reason)) }
  process.on('unhandledRejection', tell)
  return async () => {
    await new Promise((resolve) => { setImmediate(resolve) })
    process.off('unhandledRejection', tell)
  }
}
