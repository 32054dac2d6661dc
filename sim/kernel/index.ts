/** The simulator's kernel: time in whole ticks, an event queue ordered by (time, insertion id), forked random streams. README.md says how. */
export * from './agenda.ts'
export * from './calendar-queue.ts'
export * from './event-queue.ts'
export * from './exact-math.ts'
export * from './heap-queue.ts'
export * from './rng.ts'
export * from './stream-table.ts'
export * from './ticks.ts'
