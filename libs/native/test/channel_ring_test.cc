#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "channel/ring.h"
#include "channel_harness.h"

namespace interleave {
namespace {

// The shared words of one ring, as the region has them.
struct SharedRing {
  explicit SharedRing(std::uint32_t capacity)
      : cells(capacity * sizeof(CompletionCell) / sizeof(std::uint64_t)), capacity(capacity) {}
  std::byte* data() { return reinterpret_cast<std::byte*>(cells.data()); }
  RingProducer<CompletionCell> producer() { return {data(), capacity, &head.word, &tail.word}; }
  RingConsumer<CompletionCell> consumer() { return {data(), capacity, &head.word, &tail.word}; }

  Line head{};
  Line tail{};
  Line sleep{};
  std::vector<std::uint64_t> cells;
  std::uint32_t capacity;
};

// Any sequence of operations does what a bounded queue does.
TEST(Ring, BehavesAsABoundedQueue) {
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 50; ++run) {
    SharedRing shared(1u << (random() % 6));
    auto producer = shared.producer();
    auto consumer = shared.consumer();
    std::deque<std::uint64_t> published, unpublished;
    std::uint64_t unreleased = 0, next = 0;
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t used = published.size() + unpublished.size() + unreleased;
      switch (random() % 4) {
        case 0: {
          const auto wanted = static_cast<std::uint32_t>(random() % (shared.capacity + 1));
          const auto room = producer.Room(wanted);
          ASSERT_TRUE(room.has_value());
          ASSERT_LE(*room, shared.capacity - used);
          ASSERT_TRUE(*room >= wanted || shared.capacity - used < wanted);
          if (*room == 0) break;
          producer.Write({next});
          unpublished.push_back(next++);
          break;
        }
        case 1:
          producer.Publish();
          published.insert(published.end(), unpublished.begin(), unpublished.end());
          unpublished.clear();
          break;
        case 2:
          ASSERT_EQ(consumer.Available(), published.size());
          if (published.empty()) break;
          ASSERT_EQ(consumer.Read().itemId, published.front());
          published.pop_front();
          ++unreleased;
          break;
        case 3:
          consumer.Release();
          unreleased = 0;
          break;
      }
    }
  }
}

TEST(Ring, AnImpossiblePositionOfThePeerIsNoticed) {
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 1000; ++run) {
    SharedRing shared(8);
    auto producer = shared.producer();
    auto consumer = shared.consumer();
    const auto written = static_cast<std::uint32_t>(random() % 9);
    for (std::uint32_t i = 0; i < written; ++i) producer.Write({i});
    producer.Publish();
    const std::uint64_t forged = random() >> (random() % 64);
    std::atomic_ref(shared.head.word).store(forged);
    // A consumer may have read what was published, and nothing else.
    EXPECT_EQ(producer.Room(9).has_value(), forged <= written) << forged;
    std::atomic_ref(shared.tail.word).store(forged);
    EXPECT_EQ(consumer.Available().has_value(), forged <= 8) << forged;
  }
}

// Two threads, one mapping (so that TSan sees every access): every cell arrives once and in order, and no wake-up is
// lost although the doorbell is only rung for a consumer that sleeps.
TEST(Ring, NoWakeUpIsLostBetweenTwoThreads) {
  constexpr std::uint64_t kCells = 200'000;
  SharedRing shared(64);
  std::mutex mutex;
  std::condition_variable rung;
  std::uint64_t doorbells = 0;

  std::thread consumerThread([&] {
    auto consumer = shared.consumer();
    SleepWord sleep(&shared.sleep.word);
    std::uint64_t answered = 0;
    for (std::uint64_t expected = 0; expected < kCells;) {
      const auto available = consumer.Available();
      ASSERT_TRUE(available.has_value());
      for (std::uint32_t i = 0; i < *available; ++i) ASSERT_EQ(consumer.Read().itemId, expected++);
      consumer.Release();
      if (*available > 0 || expected == kCells) continue;
      sleep.Sleep();
      if (consumer.Available() == 0u) {
        std::unique_lock lock(mutex);
        ASSERT_TRUE(rung.wait_for(lock, std::chrono::seconds(30), [&] { return doorbells > answered; }))
            << "lost wake-up";
        answered = doorbells;
      }
      sleep.Wake();
    }
  });

  auto producer = shared.producer();
  Waker waker(&shared.sleep.word);
  std::mt19937_64 random(TestSeed());
  for (std::uint64_t next = 0; next < kCells;) {
    const auto room = producer.Room(1);
    ASSERT_TRUE(room.has_value());
    if (*room == 0) {
      std::this_thread::yield();
      continue;
    }
    const std::uint64_t burst = std::min<std::uint64_t>({*room, 1 + random() % 8, kCells - next});
    for (std::uint64_t i = 0; i < burst; ++i) producer.Write({next++});
    producer.Publish();
    if (!waker.ShouldRing()) continue;
    const std::lock_guard lock(mutex);
    ++doorbells;
    rung.notify_one();
  }
  consumerThread.join();
}

TEST(Ring, OneSleepCostsOneDoorbell) {
  SharedRing shared(8);
  SleepWord sleep(&shared.sleep.word);
  Waker waker(&shared.sleep.word);
  EXPECT_FALSE(waker.ShouldRing());
  sleep.Sleep();
  EXPECT_TRUE(waker.ShouldRing());
  EXPECT_FALSE(waker.ShouldRing());
  sleep.Wake();
  EXPECT_FALSE(waker.ShouldRing());
  sleep.Sleep();
  EXPECT_TRUE(waker.ShouldRing());
}

}  // namespace
}  // namespace interleave
