/**
 * Max-min fair rates of flows over two links each, recomputed only where they change, exactly.
 *
 * The max-min fair rates are the only ones where no link carries more than it can and every flow has a bottleneck: a link that is full and on which no
 * flow is faster (Bertsekas and Gallager, Data Networks, 6.5.2). When flows come or go, `solve` takes up the flows whose bottleneck was one of
 * their links, fills the room that the others leave (progressive filling), and then looks at every link it touched: a flow that has lost its bottleneck, or
 * that is faster than one that is held back there, is taken up too, until none is left. Then every flow has a bottleneck again, so these
 * are the rates that solving everything would give. Most changes take up a dozen flows.
 */

/** Rates that differ by less than this share are equal: sums of some hundred doubles are off by less. */
const SAME = 1e-11
const NONE = -1

/** Flows and links are numbers from 0. */
export class MaxMin {
  readonly #capacities: Float64Array
  readonly #rates: Float64Array
  readonly #old: Float64Array
  readonly #bottleneck: Int32Array
  /** By flow * 2 + side: the link, and the flow's neighbours in the link's list. A place in a list is a flow * 2 + side. */
  readonly #link: Int32Array
  readonly #next: Int32Array
  readonly #before: Int32Array
  readonly #first: Int32Array
  /** Scratch of one `solve`: flows and links taken up, in order, and by their stamps. */
  readonly #flows: Int32Array
  readonly #links: Int32Array
  readonly #flowStamp: Int32Array
  readonly #linkStamp: Int32Array
  readonly #room: Float64Array
  readonly #open: Int32Array
  readonly #fixed: Uint8Array
  #stamp = 1
  #flowCount = 0
  #linkCount = 0

  /** Capacities of the links, in any unit of rate. */
  constructor (capacities: Float64Array, flowsMax: number) {
    const links = capacities.length
    this.#capacities = capacities
    this.#rates = new Float64Array(flowsMax)
    this.#old = new Float64Array(flowsMax)
    this.#bottleneck = new Int32Array(flowsMax)
    this.#link = new Int32Array(2 * flowsMax).fill(NONE)
    this.#next = new Int32Array(2 * flowsMax)
    this.#before = new Int32Array(2 * flowsMax)
    this.#first = new Int32Array(links).fill(NONE)
    this.#flows = new Int32Array(flowsMax)
    this.#links = new Int32Array(links)
    this.#flowStamp = new Int32Array(flowsMax)
    this.#linkStamp = new Int32Array(links)
    this.#room = new Float64Array(links)
    this.#open = new Int32Array(links)
    this.#fixed = new Uint8Array(flowsMax)
  }

  get bytes (): number {
    return [this.#capacities, this.#rates, this.#old, this.#bottleneck, this.#link, this.#next, this.#before, this.#first, this.#flows, this.#links, this.#flowStamp, this.#linkStamp, this.#room, this.#open, this.#fixed]
      .reduce((sum, array) => sum + array.byteLength, 0)
  }

  /** Flows that the last `solve` took up; `flow(i)` names them, in an order that only the events before it decide. */
  get taken (): number { return this.#flowCount }
  flow (i: number): number { return this.#flows[i] as number }
  rate (flow: number): number { return this.#rates[flow] as number }
  /** The rate before the last `solve`, of a flow that it took up; 0 for a new one. */
  rateBefore (flow: number): number { return this.#old[flow] as number }

  /** A flow comes; `solve` gives it its rate. The two links differ. */
  add (flow: number, from: number, to: number): void {
    this.#enter(flow * 2, from)
    this.#enter(flow * 2 + 1, to)
    this.#rates[flow] = 0
    this.#bottleneck[flow] = NONE
    this.#touch(from)
    this.#touch(to)
    this.#take(flow)
  }

  /** A flow goes; `solve` gives its room to others. */
  remove (flow: number): void {
    for (let place = flow * 2; place < flow * 2 + 2; place++) {
      const link = this.#link[place] as number
      const before = this.#before[place] as number
      const next = this.#next[place] as number
      if (before === NONE) this.#first[link] = next
      else this.#next[before] = next
      if (next !== NONE) this.#before[next] = before
      this.#link[place] = NONE
      this.#touch(link)
    }
  }

  /** Gives every flow its max-min fair rate again, after any number of `add` and `remove`. */
  solve (): void {
    for (let i = 0, links = this.#linkCount; i < links; i++) this.#takeBound(this.#links[i] as number)
    for (;;) {
      const flows = this.#flowCount
      this.#fill()
      for (let i = 0, links = this.#linkCount; i < links; i++) this.#check(this.#links[i] as number)
      if (this.#flowCount === flows) break
    }
  }

  /** Forgets what the last `solve` took up. Call it before the next `add` or `remove`. */
  begin (): void {
    this.#stamp++
    this.#flowCount = 0
    this.#linkCount = 0
  }

  #enter (place: number, link: number): void {
    const first = this.#first[link] as number
    this.#link[place] = link
    this.#before[place] = NONE
    this.#next[place] = first
    if (first !== NONE) this.#before[first] = place
    this.#first[link] = place
  }

  #touch (link: number): void {
    if (this.#linkStamp[link] === this.#stamp) return
    this.#linkStamp[link] = this.#stamp
    this.#links[this.#linkCount++] = link
  }

  #take (flow: number): void {
    if (this.#flowStamp[flow] === this.#stamp) return
    this.#flowStamp[flow] = this.#stamp
    this.#flows[this.#flowCount++] = flow
    this.#old[flow] = this.#rates[flow] as number
    this.#touch(this.#link[flow * 2] as number)
    this.#touch(this.#link[flow * 2 + 1] as number)
  }

  /** Takes up the flows that this link held back. */
  #takeBound (link: number): void {
    for (let place = this.#first[link] as number; place !== NONE; place = this.#next[place] as number) {
      if (this.#bottleneck[place >> 1] === link) this.#take(place >> 1)
    }
  }

  /** Progressive filling of the flows taken up, in the room that the others leave. */
  #fill (): void {
    for (let i = 0; i < this.#linkCount; i++) this.#measure(this.#links[i] as number)
    let left = 0
    for (let i = 0; i < this.#flowCount; i++) {
      const flow = this.#flows[i] as number
      this.#fixed[flow] = 0
      // One that has gone again since it came is on no link.
      if (this.#link[flow * 2] !== NONE) left++
    }
    while (left > 0) {
      let tightest = NONE
      let share = Infinity
      for (let i = 0; i < this.#linkCount; i++) {
        const link = this.#links[i] as number
        const open = this.#open[link] as number
        if (open === 0) continue
        const here = (this.#room[link] as number) / open
        if (here < share) {
          share = here
          tightest = link
        }
      }
      left -= this.#fixAt(tightest, Math.max(0, share))
    }
  }

  /** What is left of a link's capacity for the flows taken up, and how many they are. */
  #measure (link: number): void {
    let room = this.#capacities[link] as number
    let open = 0
    for (let place = this.#first[link] as number; place !== NONE; place = this.#next[place] as number) {
      const flow = place >> 1
      if (this.#flowStamp[flow] === this.#stamp) open++
      else room -= this.#rates[flow] as number
    }
    this.#room[link] = room
    this.#open[link] = open
  }

  /** This link holds its open flows to this rate; answers how many. */
  #fixAt (link: number, rate: number): number {
    let count = 0
    for (let place = this.#first[link] as number; place !== NONE; place = this.#next[place] as number) {
      const flow = place >> 1
      if (this.#flowStamp[flow] !== this.#stamp || this.#fixed[flow] === 1) continue
      this.#fixed[flow] = 1
      this.#rates[flow] = rate
      this.#bottleneck[flow] = link
      const other = this.#link[place ^ 1] as number
      this.#room[other] = (this.#room[other] as number) - rate
      this.#open[other] = (this.#open[other] as number) - 1
      count++
    }
    this.#open[link] = 0
    return count
  }

  /** Takes up whoever at this link has no bottleneck any more, or is in the way of one that has its bottleneck here. */
  #check (link: number): void {
    let sum = 0
    let fastest = 0
    let heldAt = Infinity
    for (let place = this.#first[link] as number; place !== NONE; place = this.#next[place] as number) {
      const flow = place >> 1
      const rate = this.#rates[flow] as number
      sum += rate
      if (rate > fastest) fastest = rate
      if (this.#flowStamp[flow] === this.#stamp && this.#bottleneck[flow] === link && rate < heldAt) heldAt = rate
    }
    const full = sum >= (this.#capacities[link] as number) * (1 - SAME)
    if (full && heldAt >= fastest * (1 - SAME) && heldAt !== Infinity) return
    for (let place = this.#first[link] as number; place !== NONE; place = this.#next[place] as number) {
      const flow = place >> 1
      if (this.#flowStamp[flow] === this.#stamp) continue
      const rate = this.#rates[flow] as number
      const lost = this.#bottleneck[flow] === link && (!full || rate < fastest * (1 - SAME))
      if (lost || rate > heldAt * (1 + SAME)) this.#take(flow)
    }
  }
}
