/** The kit: what every protocol stands on. */
export * from './ports.ts'
export * from './ids.ts'
export * from './errors.ts'
export * from './hex.ts'
export * from './wire.ts'
export * from './limiter.ts'
export * from './loopback.ts'
