// Gossip as sim/scale/message-gossip.ts has it, in SimGrid: PLANTS, WARM-UP and MEASURED periods. Each plant is a sender and a listener.
#include "common.hpp"

static constexpr double period_s = 10, jitter = 0.1, latency_s = 0.05;
static constexpr int entries = 16;

struct Message { int from; bool rumour; };
struct Plant {
  sg4::Mailbox* box;
  Stream stream;
  bool informed = false;
  int peers[entries];
  double heard[entries];
};

static std::vector<Plant> plants;
static uint64_t messages = 0;
static double until_s;

static void listen (int self) {
  Plant& me = plants[self];
  for (;;) {
    auto* message = me.box->get<Message>();
    int const entry = me.stream.next() & (entries - 1);
    me.peers[entry] = message->from;
    me.heard[entry] = sg4::Engine::get_clock();
    if (message->rumour) me.informed = true;
    delete message;
    messages++;
  }
}

static void send (int self) {
  Plant& me = plants[self];
  sg4::this_actor::sleep_for(me.stream.fraction() * period_s);
  while (sg4::Engine::get_clock() < until_s) {
    int target = me.stream.below(plants.size() - 1);
    if (target >= self) target++;
    plants[target].box->put_init(new Message{self, me.informed}, 1)->detach();
    sg4::this_actor::sleep_for(period_s * (1 - jitter + 2 * jitter * me.stream.fraction()));
  }
}

int main (int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  set_up(latency_s);
  int const count = atoi(argv[1]);
  double const from_s = period_s * atof(argv[2]);
  until_s = from_s + period_s * atof(argv[3]);
  auto const hosts = hosts_of(count);
  plants.reserve(count);
  for (int i = 0; i < count; i++) {
    plants.push_back(Plant{sg4::Mailbox::by_name(std::to_string(i)), Stream(i), i == 0, {}, {}});
    sg4::Actor::create("l", hosts[i], listen, i)->daemonize();
    sg4::Actor::create("s", hosts[i], send, i);
  }
  engine.run_until(from_s);
  uint64_t const before = messages;
  double const start = wall_s();
  engine.run_until(until_s);
  printf("{\"count\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(messages - before), wall_s() - start);
  fflush(stdout);
  _Exit(0);
}
