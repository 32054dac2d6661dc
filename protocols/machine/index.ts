/** What is asked of the plant that holds a machine; see README.md. */
export * from './constants.ts'
export * from './messages.ts'
export * from './core.ts'
export * from './network-told.ts'
export type { NetworkHost } from './network-calls.ts'
export * from './service.ts'
