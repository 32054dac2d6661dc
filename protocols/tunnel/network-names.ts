/** Which networks of its domain an order asks for. */
import type { Order } from '../order/index.ts'

/** The names of an order's networks. */
export function networkNamesOf (order: Pick<Order, 'network'>): string[] {
  return order.network === undefined ? [] : [order.network.name]
}
