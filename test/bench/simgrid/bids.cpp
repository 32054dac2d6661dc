// Bid rounds as sim/scale/bid-rounds.ts has them, in SimGrid: HOSTS, WARM-UP and MEASURED seconds, mean time between a shop's orders. Each
// host is a shop (orders one after the other), a plant (a listener that judges calls and awards) and, for each machine, a timer.
#include "common.hpp"

static constexpr double latency_s = 0.05, life_s = 300;
static constexpr int asked = 16;

enum class Kind { call, award, bid, granted };
struct Message { Kind kind; int from; int memory; double value; sg4::Mailbox* reply; };
struct Host {
  sg4::Mailbox* plant;
  sg4::Mailbox* shop;
  Stream stream;
  int machines = 0;
  int memory = 0;
};

static std::vector<Host> all;
static std::vector<sg4::Host*> hosts;
static uint64_t orders = 0;
static double every_s, until_s;
static constexpr int memory_max = 1536, machines_max = 32;

static void send (sg4::Mailbox* to, Message* message) { to->put_init(message, 1)->detach(); }

static void plant (int self) {
  Host& me = all[self];
  for (;;) {
    auto* message = me.plant->get<Message>();
    bool const fits = me.machines < machines_max && me.memory + message->memory <= memory_max;
    if (message->kind == Kind::call) {
      send(message->reply, new Message{Kind::bid, self, message->memory, fits ? me.memory : -1.0, nullptr});
    } else {
      send(message->reply, new Message{Kind::granted, self, message->memory, fits ? 1.0 : -1.0, nullptr});
      if (fits) {
        me.machines++;
        me.memory += message->memory;
        int const memory = message->memory;
        sg4::Actor::create("t", hosts[self], [self, memory]() {
          sg4::this_actor::sleep_for(all[self].stream.exponential(life_s));
          all[self].machines--;
          all[self].memory -= memory;
        });
      }
    }
    delete message;
  }
}

static void shop (int self) {
  Host& me = all[self];
  static constexpr int sizes[] = {32, 64, 256};
  for (;;) {
    sg4::this_actor::sleep_for(me.stream.exponential(every_s));
    int const memory = sizes[me.stream.below(3)];
    for (int i = 0; i < asked; i++) {
      int target = me.stream.below(all.size() - 1);
      if (target >= self) target++;
      send(all[target].plant, new Message{Kind::call, self, memory, 0, me.shop});
    }
    double costs[asked];
    int from[asked];
    for (int i = 0; i < asked; i++) {
      auto* bid = me.shop->get<Message>();
      costs[i] = bid->value;
      from[i] = bid->from;
      delete bid;
    }
    for (;;) {
      int best = -1, ties = 0;
      for (int i = 0; i < asked; i++) {
        if (costs[i] < 0) continue;
        if (best < 0 || costs[i] < costs[best]) { best = i; ties = 1; }
        else if (costs[i] == costs[best] && me.stream.below(++ties) == 0) best = i;
      }
      if (best < 0) break;
      costs[best] = -1;
      send(all[from[best]].plant, new Message{Kind::award, self, memory, 0, me.shop});
      auto* answer = me.shop->get<Message>();
      bool const granted = answer->value > 0;
      delete answer;
      if (granted) break;
    }
    orders++;
  }
}

int main (int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  set_up(latency_s);
  int const count = atoi(argv[1]);
  double const from_s = atof(argv[2]);
  until_s = from_s + atof(argv[3]);
  every_s = atof(argv[4]);
  hosts = hosts_of(count);
  all.reserve(count);
  for (int i = 0; i < count; i++) {
    all.push_back(Host{sg4::Mailbox::by_name("p" + std::to_string(i)), sg4::Mailbox::by_name("s" + std::to_string(i)), Stream(i)});
    sg4::Actor::create("p", hosts[i], plant, i)->daemonize();
    sg4::Actor::create("s", hosts[i], shop, i);
  }
  engine.run_until(from_s);
  uint64_t const before = orders;
  double const start = wall_s();
  engine.run_until(until_s);
  printf("{\"count\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(orders - before), wall_s() - start);
  fflush(stdout);
  _Exit(0);
}
