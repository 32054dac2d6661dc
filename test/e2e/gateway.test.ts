/** The private plants have no way out: all that they do goes through their gateway. */
import { gatewaySite } from '../contracts/gateway-site.ts'

gatewaySite(false)
