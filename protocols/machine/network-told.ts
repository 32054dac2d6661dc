/** A network as one plant has it and tells whoever may see it. */
import { z } from 'zod'
import { STATIONS_TOLD_MAX } from './constants.ts'

const text = z.string().max(1024)
const count = z.number().int().min(0)

const memberSchema = z.object({ peer: text, state: text, relayed: z.boolean(), queuedBytes: count })
const stationSchema = z.object({ mac: text, addresses: z.array(text).max(64), vmid: text.optional(), name: text.optional(), router: z.boolean().optional(), plant: text })
const portSchema = z.object({ kind: text, name: text, framesIn: count, bytesIn: count, framesOut: count, bytesOut: count, drops: z.record(text, count) })

/** One network on one plant, as it crosses the wire. `detail` is there when one network is asked for; of very many stations it has the first. */
export const networkToldSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  name: text,
  domain: text,
  domainKey: text,
  addressing: z.enum(['mesh', 'external']),
  plant: text,
  /** Members that its plant has a tunnel to, itself not counted. */
  members: count,
  /** Machines of it on this plant, and all stations that this plant knows. */
  machines: count,
  stations: count,
  detail: z.object({ members: z.array(memberSchema), stations: z.array(stationSchema).max(STATIONS_TOLD_MAX), ports: z.array(portSchema) }).optional()
})
/** One network on one plant. */
export type NetworkTold = z.infer<typeof networkToldSchema>
