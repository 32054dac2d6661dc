/** The private plants are behind NAT: they can go out, nothing comes in but through their gateway. */
import { gatewaySite } from '../contracts/gateway-site.ts'

gatewaySite(true)
