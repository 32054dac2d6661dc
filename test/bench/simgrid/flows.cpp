// A swarm as sim/scale/fluid-swarm.ts has it, in SimGrid: PEERS and flows each slot fetches. The same sources and sizes, so that the simulated
// time at the end compares too.
#include "common.hpp"

static constexpr int slots = 4;
static constexpr double uplinks[] = {1.25e6, 2.5e6, 12.5e6};
static std::vector<sg4::Host*> hosts;
static uint64_t done = 0;
static int flows_per_slot;
static constexpr uint32_t seed = 1;

static uint32_t mix (uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}
static uint32_t draw (uint32_t slot, uint32_t n) { return mix(mix(((slot + 1) * 0x9e3779b1u) ^ seed) + n * 0x85ebca6bu); }

static void fetch (int slot) {
  int const peer = slot / slots;
  for (int flow = 1; flow <= flows_per_slot; flow++) {
    int source = draw(slot, 2 * flow) % (hosts.size() - 1);
    if (source >= peer) source++;
    sg4::Comm::sendto(hosts[source], hosts[peer], 1048576ull * (1 + (draw(slot, 2 * flow + 1) & 3)));
    done++;
  }
}

int main (int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  set_up(0);
  sg4::Engine::set_config("network/model:CM02");
  sg4::Engine::set_config("network/crosstraffic:0");
  sg4::Engine::set_config("network/TCP-gamma:0");
  sg4::Engine::set_config("network/bandwidth-factor:1");
  sg4::Engine::set_config("network/weight-S:0");
  int const peers = atoi(argv[1]);
  flows_per_slot = atoi(argv[2]);
  auto* zone = sg4::create_star_zone("zone");
  for (int i = 0; i < peers; i++) {
    auto const name = std::to_string(i);
    auto* host = zone->create_host("h" + name, "1Gf");
    auto* up = zone->create_link("u" + name, uplinks[i % 3])->set_latency(0.0)->seal();
    auto* down = zone->create_link("d" + name, uplinks[i % 3] * 4)->set_latency(0.0)->seal();
    zone->add_route(host->get_netpoint(), nullptr, nullptr, nullptr, std::vector<sg4::LinkInRoute>{sg4::LinkInRoute(up)}, false);
    zone->add_route(nullptr, host->get_netpoint(), nullptr, nullptr, std::vector<sg4::LinkInRoute>{sg4::LinkInRoute(down)}, false);
    hosts.push_back(host);
  }
  zone->seal();
  for (int slot = 0; slot < peers * slots; slot++) sg4::Actor::create("f", hosts[slot / slots], fetch, slot);
  double const start = wall_s();
  engine.run();
  printf("{\"count\":%llu,\"seconds\":%.6f,\"simulatedSeconds\":%.9f}\n", static_cast<unsigned long long>(done), wall_s() - start, sg4::Engine::get_clock());
  fflush(stdout);
  _Exit(0);
}
