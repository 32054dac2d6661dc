/** See lock.mjs; plain JavaScript because Node 20 runs it before there are packages. */
export declare function withLock<T> (name: string, work: () => Promise<T>, options?: { onWait?: () => void, signal?: AbortSignal }): Promise<T>
