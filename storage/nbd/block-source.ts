/** What is served as a disk: so many bytes, read anywhere. Whoever implements it fetches first what is not there yet. */
export interface BlockSource {
  readonly bytes: number
  /**
   * Exactly `length` bytes from `offset`; both lie within. May be called many times at once, and takes as long as it takes. Rejects only when there is no
   * hope: the reader's disk has an error then. Called off by the signal when nobody waits any more.
   */
  read (offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>
}
