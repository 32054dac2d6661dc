// What the comparators share: hosts on a constant-latency network, a generator, and the line they end with.
#pragma once
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <simgrid/s4u.hpp>
#include <string>
#include <vector>

namespace sg4 = simgrid::s4u;

// xoshiro128** (Blackman and Vigna, 2018), one for each host as in the models compared with.
struct Stream {
  uint32_t s[4];
  explicit Stream (uint32_t seed) {
    for (auto& word : s) {
      seed += 0x9e3779b9;
      uint32_t h = seed;
      h = (h ^ (h >> 16)) * 0x85ebca6b;
      h = (h ^ (h >> 13)) * 0xc2b2ae35;
      word = h ^ (h >> 16);
    }
  }
  static uint32_t rotl (uint32_t x, int k) { return (x << k) | (x >> (32 - k)); }
  uint32_t next () {
    uint32_t const result = rotl(s[1] * 5, 7) * 9, t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11);
    return result;
  }
  uint32_t below (uint32_t n) { return static_cast<uint32_t>((static_cast<uint64_t>(next()) * n) >> 32); }
  double fraction () { return (next() + 1.0) / 4294967296.0; }
  double exponential (double mean) { return -mean * std::log(fraction()); }
};

inline std::vector<sg4::Host*> hosts_of (int count) {
  auto* zone = sg4::create_empty_zone("zone");
  std::vector<sg4::Host*> hosts;
  for (int i = 0; i < count; i++) hosts.push_back(zone->create_host("h" + std::to_string(i), "1Gf"));
  zone->seal();
  return hosts;
}

// Stacks as small as they may be, contexts switched by hand-written code, one constant latency, no consistency checks of arguments.
inline void set_up (double latency_s) {
  sg4::Engine::set_config("contexts/stack-size:16");
  sg4::Engine::set_config("contexts/guard-size:0");
  sg4::Engine::set_config("contexts/factory:raw");
  sg4::Engine::set_config("network/model:Constant");
  sg4::Engine::set_config("network/latency-factor:" + std::to_string(latency_s));
}

inline double wall_s () {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
