// The queue with many threads and no runtime: what the sanitizers can see in full.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "clock.h"
#include "work_queue_fixture.h"

namespace interleave {
namespace {

using test::kExecutors;
using test::WorkQueueTest;
using Pushed = WorkQueue::Pushed;

TEST_F(WorkQueueTest, HandsOutWhatBelongsTogether) {
  Push(Make(1));
  Push(Make(2));
  Push(Make(3, 1, 0, 1));
  EXPECT_EQ(models_[0]->gauge().items, 2);
  WorkQueue::Work work = queue_.Take(0);
  EXPECT_EQ(work.items.size(), 2U);
  EXPECT_EQ(models_[0]->gauge().items, 0);
  EXPECT_EQ(models_[0]->gauge().oldestNs, 0);
  EXPECT_EQ(models_[1]->gauge().items, 1);
  EXPECT_GT(models_[1]->gauge().oldestNs, 0);
}

TEST_F(WorkQueueTest, CountsWaitingAndRunningItemsOfAClient) {
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(Push(Make(id)), Pushed::kAccepted);
  EXPECT_EQ(Push(Make(4)), Pushed::kFull);
  EXPECT_EQ(Push(Make(5, 2)), Pushed::kAccepted);
  WorkQueue::Work work = queue_.Take(0);
  EXPECT_EQ(Push(Make(6)), Pushed::kFull) << "what runs still counts";
  for (QueuedItem& queued : work.items) answers_.Finish(queued, {});
  EXPECT_EQ(Push(Make(7)), Pushed::kAccepted);
}

TEST_F(WorkQueueTest, KeepsAnItemThatItDoesNotAccept) {
  queue_.Close();
  QueuedItem queued = Make(1);
  EXPECT_EQ(queue_.Push(queued), Pushed::kClosed);
  EXPECT_NE(queued.item.responder, nullptr);
}

TEST_F(WorkQueueTest, GivesExpiredItemsNoPlaceInABatch) {
  Push(Make(1, 1, 1));
  Push(Make(2));
  WorkQueue::Work work = queue_.Take(0);
  ASSERT_EQ(work.expired.size(), 1U);
  EXPECT_EQ(work.expired[0].item.itemId, 1U);
  ASSERT_EQ(work.items.size(), 1U);
  Push(Make(3, 1, 50));
  EXPECT_TRUE(queue_.TakeExpired(49).empty());
  EXPECT_EQ(queue_.TakeExpired(50).size(), 1U);
}

TEST_F(WorkQueueTest, RemovesCancelledItemsAndGoneClients) {
  for (std::uint64_t id = 1; id <= 3; ++id) Push(Make(id));
  Push(Make(1, 2));
  EXPECT_EQ(queue_.Cancel(1, 2).size(), 1U);
  EXPECT_TRUE(queue_.Cancel(1, 2).empty());
  EXPECT_EQ(queue_.DropClient(1).size(), 2U);
  WorkQueue::Work work = queue_.Take(0);
  ASSERT_EQ(work.items.size(), 1U);
  EXPECT_EQ(work.items[0].item.clientId, 2U);
}

TEST_F(WorkQueueTest, IsIdleOnceEveryAcceptedItemIsAnswered) {
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
  Push(Make(1));
  EXPECT_FALSE(queue_.WaitUntilIdle(0));
  WorkQueue::Work work = queue_.Take(0);
  EXPECT_FALSE(queue_.WaitUntilIdle(0));
  answers_.Fail(work.items[0], ItemStatus::kFailed, "no");
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
}

TEST_F(WorkQueueTest, EndsTakeWhenClosedAndEmpty) {
  Push(Make(1));
  queue_.Close();
  EXPECT_EQ(queue_.Take(0).items.size(), 1U);
  WorkQueue::Work end = queue_.Take(0);
  EXPECT_TRUE(end.items.empty() && end.expired.empty());
}

TEST_F(WorkQueueTest, WakesTheExecutorThatBeganToWaitLast) {
  std::mutex mutex;
  std::vector<std::size_t> woken;
  std::vector<std::thread> executors;
  for (std::size_t i = 0; i < kExecutors; ++i) {
    executors.emplace_back([&, i] {
      WorkQueue::Work work = queue_.Take(i);
      {
        const std::scoped_lock lock(mutex);
        woken.push_back(i);
      }
      answers_.FailAll(std::move(work.items), ItemStatus::kFailed, "");
    });
    while (queue_.waitingExecutors() <= i) std::this_thread::yield();
  }
  for (std::uint64_t id = 1; id <= kExecutors; ++id) {
    Push(Make(id));
    EXPECT_TRUE(queue_.WaitUntilIdle(10'000'000'000));
  }
  for (std::thread& executor : executors) executor.join();
  EXPECT_EQ(woken, (std::vector<std::size_t>{2, 1, 0}));
}

TEST_F(WorkQueueTest, GivesTheExpressExecutorOnlyWhatGoesAhead) {
  Push(Make(1));
  QueuedItem urgent = Make(2);
  urgent.item.ahead = true;
  Push(std::move(urgent));
  Push(Make(3));
  WorkQueue::Work express = queue_.Take(kExecutors);
  ASSERT_EQ(express.items.size(), 1U);
  EXPECT_EQ(express.items[0].item.itemId, 2U);
  EXPECT_EQ(queue_.Take(0).items.size(), 2U) << "the rest is for the others";
  answers_.FailAll(std::move(express.items), ItemStatus::kFailed, "");
}

TEST_F(WorkQueueTest, HasTheExpressExecutorRunWhatComesBackAfterTheOthersEnded) {
  QueuedItem urgent = Make(1);
  urgent.item.ahead = true;
  urgent.contentKey = 1;
  Push(std::move(urgent));
  QueuedItem duplicate = Make(2);
  duplicate.contentKey = 1;
  EXPECT_EQ(Push(std::move(duplicate)), Pushed::kJoined);
  WorkQueue::Work express = queue_.Take(kExecutors);
  ASSERT_EQ(express.items.size(), 1U);
  queue_.Close();
  EXPECT_TRUE(queue_.Take(0).IsNone());
  queue_.RequeueDuplicates(express.items[0]);
  WorkQueue::Work rest = queue_.Take(kExecutors);
  ASSERT_EQ(rest.items.size(), 1U);
  EXPECT_EQ(rest.items[0].item.itemId, 2U);
}

TEST_F(WorkQueueTest, WakesTheExpressExecutorWhereNoOtherWaits) {
  std::thread express([this] {
    for (WorkQueue::Work work = queue_.Take(kExecutors); !work.IsNone(); work = queue_.Take(kExecutors)) {
      answers_.FailAll(std::move(work.items), ItemStatus::kFailed, "");
    }
  });
  Push(Make(1));
  Push(Make(2));
  for (std::uint64_t id = 3; id < 200; ++id) {
    QueuedItem urgent = Make(id, 2);
    urgent.item.ahead = true;
    Push(std::move(urgent));
    inbox_.WaitFor(id);
  }
  EXPECT_EQ(models_[0]->gauge().items, 2);
  queue_.Close();
  express.join();
}

TEST_F(WorkQueueTest, HandsOutProbesLast) {
  Probe probe{.model = models_[0], .done = [](const ProbeResult&) {}};
  EXPECT_EQ(queue_.PushProbe(probe), Pushed::kAccepted);
  Push(Make(1));
  WorkQueue::Work first = queue_.Take(0);
  EXPECT_EQ(first.items.size(), 1U);
  EXPECT_FALSE(first.probe);
  EXPECT_TRUE(queue_.Take(0).probe);
  Probe other{.model = models_[0], .done = [](const ProbeResult&) {}};
  queue_.PushProbe(other);
  queue_.Close();
  EXPECT_EQ(queue_.TakeProbes().size(), 1U);
  EXPECT_EQ(queue_.PushProbe(probe), Pushed::kClosed);
}

// Producers push, cancel and disappear while executors take: every item is answered exactly once.
TEST_F(WorkQueueTest, AnswersEveryItemOnceWhateverComesTogether) {
  constexpr int kClients = 3;
  constexpr std::uint64_t kItemsPerClient = 400;
  std::vector<std::thread> executors;
  for (std::size_t i = 0; i < kExecutors; ++i) {
    executors.emplace_back([this, i] {
      while (true) {
        WorkQueue::Work work = queue_.Take(i);
        if (work.IsNone()) return;
        answers_.FailAll(std::move(work.expired), ItemStatus::kDeadlineExceeded, "");
        for (QueuedItem& queued : work.items) {
          queued.item.responder->MarkRunning();
          answers_.Finish(queued, {});
        }
        if (work.probe) work.probe->done({});
      }
    });
  }
  constexpr int kProbes = 200;
  std::atomic<int> probesAnswered = 0;
  std::thread prober([&] {
    for (int i = 0; i < kProbes; ++i) {
      Probe probe{.model = models_[0], .done = [&](const ProbeResult&) { ++probesAnswered; }};
      if (queue_.PushProbe(probe) != Pushed::kAccepted) probe.done({});
    }
  });
  std::vector<std::thread> clients;
  for (std::uint64_t client = 1; client <= kClients; ++client) {
    clients.emplace_back([this, client] {
      std::mt19937 random(static_cast<unsigned>(client));
      for (std::uint64_t i = 0; i < kItemsPerClient; ++i) {
        const std::uint64_t id = client * 1'000'000 + i;
        QueuedItem queued = Make(id, client, random() % 8 == 0 ? MonotonicNowNs() : 0, random() % 2);
        if (queue_.Push(queued) != Pushed::kAccepted) queued.item.responder->Fail(ItemStatus::kQueueFull, "");
        if (random() % 4 == 0) answers_.FailAll(queue_.Cancel(client, id), ItemStatus::kCancelled, "");
        if (random() % 100 == 0) answers_.FailAll(queue_.DropClient(client), ItemStatus::kCancelled, "");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  prober.join();
  queue_.Close();
  for (const Probe& probe : queue_.TakeProbes()) probe.done({});
  for (std::thread& executor : executors) executor.join();
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
  EXPECT_EQ(inbox_.Now().size(), kClients * kItemsPerClient);
  EXPECT_TRUE(inbox_.IsExact());
  EXPECT_EQ(probesAnswered, kProbes);
}

}  // namespace
}  // namespace interleave
