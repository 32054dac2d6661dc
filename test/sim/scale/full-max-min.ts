/** For tests: max-min fair rates of all flows at once, by progressive filling, as plain as can be. */
export function fullMaxMin (capacities: readonly number[], flows: ReadonlyArray<readonly number[]>): number[] {
  const rates = flows.map(() => 0)
  const open = new Set(flows.keys())
  const room = [...capacities]
  while (open.size > 0) {
    const users = capacities.map((_, link) => [...open].filter((flow) => flows[flow]?.includes(link)))
    let tightest = -1
    let share = Infinity
    for (const [link, of] of users.entries()) {
      if (of.length === 0) continue
      const here = (room[link] ?? 0) / of.length
      if (here >= share) continue
      share = here
      tightest = link
    }
    for (const flow of users[tightest] ?? []) {
      rates[flow] = share
      open.delete(flow)
      for (const link of flows[flow] ?? []) room[link] = (room[link] ?? 0) - share
    }
  }
  return rates
}
