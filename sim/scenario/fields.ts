/** Kinds of fields that scenario files have in common. */
import { z } from 'zod'
import { TIME_MS_MAX } from './constants.ts'

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/** Names of sites, groups, golden machines, actions, domains. */
export const name = z.string().regex(NAME, 'at most 63 letters, digits, ".", "_" and "-", a letter or digit first and last')
/** Text for people. */
export const prose = z.string().max(4_096)
/** A whole number within bounds. */
export const count = (min: number, max: number): z.ZodNumber => z.number().int().min(min).max(max)
/** A time since the start of the run, or a duration, in milliseconds; fractions are allowed. */
export const ms = z.number().min(0).max(TIME_MS_MAX)
/** A time between things that happen again and again: at least a microsecond, the clock's tick, as with less the clock would never go on. */
export const periodMs = (max: number): z.ZodNumber => z.number().min(0.001).max(max)
/** A probability or a part of a whole. */
export const share = z.number().min(0).max(1)
/** A positive rate in Mbit/s; 1e6 is a terabit. */
export const mbit = z.number().gt(0).max(1e6)
/** The path of a file, relative to the scenario's own. */
export const filePath = z.string().min(1).max(1_024)
