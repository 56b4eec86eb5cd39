#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "channel_harness.h"
#include "isolation/awake_cpus.h"

namespace interleave {
namespace {

// What all wishes together make of it.
std::int32_t LatencyLimitUs() {
  const Fd device(open("/dev/cpu_dma_latency", O_RDONLY | O_CLOEXEC));
  std::int32_t limitUs = -1;
  EXPECT_EQ(read(device.get(), &limitUs, sizeof limitUs), static_cast<long>(sizeof limitUs));
  return limitUs;
}

TEST(AwakeCpus, IsOffWhenNotWantedAndSaysWhy) {
  AwakeCpus cpus({.lane = Lane::kRealtime});
  EXPECT_EQ(cpus.tool().state, ToolState::kOff);
  EXPECT_EQ(cpus.tool().reason, "realtime.awakeMs is 0");
  cpus.Hold();
  cpus.Release();
  EXPECT_EQ(AwakeCpus({.lane = Lane::kBatch}).tool().reason, "only wanted in the real-time lane");
}

TEST(AwakeCpus, AsksTheKernelWhileItIsHeldAndEitherWorksOrSaysWhyNot) {
  AwakeCpus cpus({.lane = Lane::kRealtime, .isWanted = true, .loopRefusal = "not here"});
  if (cpus.tool().state != ToolState::kActive) {
    EXPECT_FALSE(cpus.tool().reason.empty());
    return;
  }
  const std::int32_t beforeUs = LatencyLimitUs();
  cpus.Hold();
  EXPECT_LE(LatencyLimitUs(), 2);
  cpus.Release();
  // Others may have a wish for a moment.
  bool isBack = false;
  for (int i = 0; i < 100 && !isBack; ++i) {
    isBack = LatencyLimitUs() >= beforeUs;
    if (!isBack) usleep(100'000);
  }
  EXPECT_TRUE(isBack);
}

TEST(ChannelActivity, IsToldWhenSomethingComesAndWhenNothingHasComeForAWhile) {
  const TempDir dir;
  EchoSink sink(1);
  std::mutex mutex;
  std::condition_variable told;
  std::vector<bool> tellings;
  ChannelServerOptions options{.socketPath = dir.socketPath(), .log = {}};
  options.onActivity = [&](bool isBusy) {
    const std::scoped_lock lock(mutex);
    tellings.push_back(isBusy);
    told.notify_all();
  };
  options.quietAfter = std::chrono::milliseconds(5);
  const ChannelServer server(options, sink, "hello");
  for (std::size_t round = 1; round <= 3; ++round) {
    const auto client = ConnectTo(dir.socketPath());
    std::unique_lock lock(mutex);
    ASSERT_TRUE(told.wait_for(lock, std::chrono::seconds(60),
                              [&] { return tellings.size() >= 2 * round && !tellings.back(); }));
  }
  const std::scoped_lock lock(mutex);
  for (std::size_t i = 0; i < tellings.size(); ++i) EXPECT_EQ(tellings[i], i % 2 == 0) << i;
}

}  // namespace
}  // namespace interleave
