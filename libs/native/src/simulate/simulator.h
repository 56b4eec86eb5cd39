// A worker in virtual time: the same policy, admission and ratio tracker as the real one, driven by a trace.
// Deterministic: equal plans and traces give equal reports.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "coalesce/coalescer.h"

namespace interleave {

// One request.
struct TraceItem {
  std::int64_t arrivalNs = 0;
  std::uint32_t model = 0;
  std::uint8_t priority = 0;
  std::int64_t rows = 1;
  std::array<std::int64_t, 2> lengths{};
  std::int64_t timeoutNs = 0;  // 0: none
};

struct SimulationPlan {
  Lane lane = Lane::kRealtime;
  std::size_t executors = 1;
  // By TraceItem::model. The ratio is learned while running; what is given here is not used.
  std::vector<ModelLimits> models{};
  // Waiting items. More are refused in the realtime lane; in the batch lane they come when there is room.
  std::size_t queueItemsMax = 1024;
  // Realtime lane: a request that would miss its deadline is refused on arrival.
  bool admits = true;
  // A run takes what the table says times 1 ± this share, evenly distributed.
  double noise = 0.05;
  std::uint32_t seed = 1;
  double waitingWeight = CoalesceLimits{}.waitingWeight;
  std::int64_t ageMaxNs = CoalesceLimits{}.ageMaxNs;
  std::int64_t ageStepNs = CoalesceLimits{}.ageStepNs;
};

struct Percentiles {
  std::int64_t p50Ns = 0;
  std::int64_t p90Ns = 0;
  std::int64_t p99Ns = 0;
  std::int64_t maxNs = 0;
};

struct SimulationReport {
  // Requests. items = answered + refused + expired; late ones are answered, but after their deadline.
  std::int64_t items = 0;
  std::int64_t answered = 0;
  std::int64_t refused = 0;
  std::int64_t expired = 0;
  std::int64_t late = 0;
  // From the first arrival to the last answer.
  std::int64_t simulatedNs = 0;
  // Answered in time, a second.
  double goodput = 0;
  // From arrival to answer, and from arrival to the start of the run (or to its expiry).
  Percentiles latency;
  Percentiles wait;
  std::int64_t runs = 0;
  // Requests that waited when a run was chosen, mean.
  double waitingItems = 0;
  double rowsPerRun = 0;
  // Share of the tokens that ran.
  double paddedShare = 0;
  // Share of the executors' time.
  double busyShare = 0;
  // Predicted cost of all runs ÷ that of their rows in the runs that suit them best, without padding.
  double regret = 0;
};

// `trace` ascends by arrival. Throws std::invalid_argument when it does not, names a model that is not there, or holds
// a row count below 1 or a negative length or timeout.
SimulationReport Simulate(std::span<const TraceItem> trace, const SimulationPlan& plan);

}  // namespace interleave
