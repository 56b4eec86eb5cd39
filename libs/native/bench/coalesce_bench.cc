// Time to choose one run: median and 99th percentile over many queues, by queue length, lane and mix of lengths.
//   cmake --build libs/native/build --target coalesce_bench && libs/native/build/coalesce_bench
// Exits with 1 when a figure is over its target: 256 rows in 20 µs (p99 100 µs), 10 000 rows in 1 ms.
#include <chrono>
#include <cstdio>

#include "coalesce/coalescer.h"
#include "encoder_costs.h"

namespace interleave {
namespace {

constexpr unsigned kSeed = 7;

struct Case {
  Lane lane = Lane::kRealtime;
  test::Mix mix = test::Mix::kLognormal;
  std::size_t rows = 0;
};

struct Figures {
  double medianUs = 0;
  double p99Us = 0;
};

std::vector<QueueEntry> MakeQueue(const Case& with, std::mt19937& random) {
  std::vector<QueueEntry> queue(with.rows);
  for (QueueEntry& entry : queue) {
    entry.lengths[0] = test::DrawLength(with.mix, random);
    entry.enqueuedNs = std::uniform_int_distribution<std::int64_t>(1, 1'000'000'000)(random);
    if (with.lane == Lane::kRealtime) entry.deadlineNs = entry.enqueuedNs + 2'000'000'000;
  }
  return queue;
}

Figures Measure(const Case& with) {
  constexpr std::size_t kQueues = 64;
  const std::size_t callsCount = with.rows > 1000 ? 400 : 6400;
  std::mt19937 random(kSeed);
  std::vector<std::vector<QueueEntry>> queues;
  for (std::size_t i = 0; i < kQueues; ++i) queues.push_back(MakeQueue(with, random));
  const bool isRealtime = with.lane == Lane::kRealtime;
  const std::vector<ModelLimits> models{{.rowsMax = 32,
                                         .tokensMax = 4096,
                                         .cost = test::EncoderCosts(),
                                         .runNsMax = isRealtime ? kRealtimeRunNsMax : kBatchRunNsMax}};
  std::vector<double> callsUs;
  for (std::size_t i = 0; i < callsCount; ++i) {
    const auto started = std::chrono::steady_clock::now();
    const Choice choice = ChooseNext(queues[i % kQueues], 1'000'000'000, {.lane = with.lane, .models = models});
    callsUs.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started).count());
    if (choice.indices.empty()) std::abort();
  }
  std::sort(callsUs.begin(), callsUs.end());
  return {callsUs[callsCount / 2], callsUs[callsCount * 99 / 100]};
}

bool Run(const Case& with) {
  const Figures figures = Measure(with);
  const bool isSmall = with.rows <= 256;
  const bool holds = isSmall ? figures.medianUs <= 20 && figures.p99Us <= 100 : figures.medianUs <= 1000;
  std::printf("%6zu rows  %-8s  %-20s  median %7.1f us  p99 %7.1f us%s\n", with.rows,
              with.lane == Lane::kRealtime ? "realtime" : "batch", test::NameOf(with.mix).c_str(), figures.medianUs,
              figures.p99Us, holds ? "" : "  OVER ITS TARGET");
  return holds;
}

int Main() {
  bool allHold = true;
  for (const std::size_t rows : {std::size_t{64}, std::size_t{256}, std::size_t{10'000}}) {
    for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
      for (const test::Mix mix : {test::Mix::kLognormal, test::Mix::kUniform, test::Mix::kShort}) {
        allHold = Run({lane, mix, rows}) && allHold;
      }
    }
  }
  return allHold ? 0 : 1;
}

}  // namespace
}  // namespace interleave

int main() { return interleave::Main(); }
