// Duplicates in the queue, without a runtime.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <random>
#include <thread>

#include "clock.h"
#include "work_queue_fixture.h"

namespace interleave {
namespace {

using test::kExecutors;
using Pushed = WorkQueue::Pushed;

class FlightsTest : public test::WorkQueueTest {
 protected:
  FlightsTest() : WorkQueueTest(12) {}

  struct Ask {
    std::int64_t value = 7;
    std::uint64_t client = 1;
    std::uint32_t model = 0;
    std::int64_t deadlineNs = 0;
    std::uint8_t priority = 0;
    std::uint64_t outputMask = 1;
    std::vector<std::int64_t> dims{1, 1};
  };

  QueuedItem MakeFor(std::uint64_t id, const Ask& ask) {
    QueuedItem queued = {
        .item = test::MakeItem(inbox_, id, {test::TensorOf<std::int64_t>(ElementType::kInt64, ask.dims, {ask.value})}),
        .shape = {},
        .enqueuedNs = MonotonicNowNs(),
        .model = models_[ask.model]};
    queued.item.clientId = ask.client;
    queued.item.revision = ask.model + 1;
    queued.item.deadlineNs = ask.deadlineNs;
    queued.item.priority = ask.priority;
    queued.item.outputMask = ask.outputMask;
    queued.contentKey = ContentKey(queued.item);
    return queued;
  }
  Pushed PushFor(std::uint64_t id, const Ask& ask) { return Push(MakeFor(id, ask)); }
  Pushed PushFor(std::uint64_t id) { return PushFor(id, {}); }

  // The only item of the next run.
  QueuedItem TakeOne() {
    WorkQueue::Work work = queue_.Take(0);
    EXPECT_EQ(work.items.size(), 1U);
    return std::move(work.items.at(0));
  }
  void FinishWithDuplicates(QueuedItem& leader) {
    std::vector<QueuedItem> duplicates = answers_.TakeDuplicates(leader);
    answers_.Finish(leader, {});
    for (QueuedItem& duplicate : duplicates) answers_.Finish(duplicate, {});
  }
  static std::vector<std::uint64_t> IdsOf(const std::vector<QueuedItem>& items) {
    std::vector<std::uint64_t> ids;
    for (const QueuedItem& queued : items) ids.push_back(queued.item.itemId);
    return ids;
  }
};

using Ids = std::vector<std::uint64_t>;

TEST_F(FlightsTest, RunEqualItemsOnceAndAnswerEach) {
  EXPECT_EQ(PushFor(1), Pushed::kAccepted);
  EXPECT_EQ(PushFor(2), Pushed::kJoined);
  EXPECT_EQ(PushFor(3), Pushed::kJoined);
  EXPECT_EQ(models_[0]->gauge().items, 1);
  QueuedItem leader = TakeOne();
  FinishWithDuplicates(leader);
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
  EXPECT_EQ(inbox_.Now().size(), 3U);
  EXPECT_TRUE(inbox_.IsExact());
  for (const auto& [id, answer] : inbox_.Now()) EXPECT_EQ(answer.timesMarkedRunning, id == 1 ? 0 : 1) << id;
  EXPECT_EQ(PushFor(4), Pushed::kAccepted) << "what is answered is not joined";
}

TEST_F(FlightsTest, OnlyJoinsWhatIsEqual) {
  EXPECT_EQ(PushFor(1, {}), Pushed::kAccepted);
  EXPECT_EQ(PushFor(2, {.value = 8}), Pushed::kAccepted);
  EXPECT_EQ(PushFor(3, {.client = 2}), Pushed::kAccepted);
  EXPECT_EQ(PushFor(4, {.model = 1}), Pushed::kAccepted);
  EXPECT_EQ(PushFor(5, {.outputMask = 2}), Pushed::kAccepted);
  EXPECT_EQ(PushFor(6, {.dims = {1}}), Pushed::kAccepted);
  QueuedItem keyless = MakeFor(7, {});
  keyless.contentKey.reset();
  EXPECT_EQ(Push(std::move(keyless)), Pushed::kAccepted);
  QueuedItem collides = MakeFor(8, {.value = 9});
  collides.contentKey = ContentKey(MakeFor(9, {}).item);
  EXPECT_EQ(Push(std::move(collides)), Pushed::kAccepted);
  EXPECT_EQ(PushFor(10, {}), Pushed::kJoined);
  answers_.FailAll(queue_.TakeAll(), ItemStatus::kUnavailable, "");
  EXPECT_EQ(inbox_.Now().size(), 9U);
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
}

TEST_F(FlightsTest, JoinTheRunUnderWayUntilItsEnd) {
  PushFor(1);
  QueuedItem leader = TakeOne();
  EXPECT_EQ(PushFor(2), Pushed::kJoined);
  std::vector<QueuedItem> duplicates = answers_.TakeDuplicates(leader);
  EXPECT_EQ(IdsOf(duplicates), Ids{2});
  EXPECT_EQ(PushFor(3), Pushed::kAccepted) << "the leader's memory may not be read any more";
  answers_.Finish(leader, {});
  answers_.Finish(duplicates[0], {});
  EXPECT_EQ(inbox_.Now().at(2).timesMarkedRunning, 1) << "a suspect if the process had died";
}

TEST_F(FlightsTest, CountTowardsTheClientsShare) {
  for (std::uint64_t id = 1; id <= 12; ++id) EXPECT_NE(PushFor(id), Pushed::kFull);
  EXPECT_EQ(PushFor(13), Pushed::kFull);
  QueuedItem leader = TakeOne();
  FinishWithDuplicates(leader);
  EXPECT_EQ(PushFor(14), Pushed::kAccepted);
}

TEST_F(FlightsTest, GoOnWithTheNextWhenTheLeaderIsCancelled) {
  for (std::uint64_t id = 1; id <= 3; ++id) PushFor(id);
  answers_.FailAll(queue_.Cancel(1, 1), ItemStatus::kCancelled, "");
  EXPECT_EQ(inbox_.Now().size(), 1U);
  EXPECT_EQ(PushFor(4), Pushed::kJoined) << "compared with the new leader's memory";
  QueuedItem leader = TakeOne();
  EXPECT_EQ(leader.item.itemId, 2U);
  EXPECT_EQ(IdsOf(answers_.TakeDuplicates(leader)), (Ids{3, 4}));
}

TEST_F(FlightsTest, LoseCancelledFollowersWhetherTheLeaderWaitsOrRuns) {
  for (std::uint64_t id = 1; id <= 3; ++id) PushFor(id);
  EXPECT_EQ(IdsOf(queue_.Cancel(1, 2)), Ids{2});
  QueuedItem leader = TakeOne();
  EXPECT_EQ(leader.item.itemId, 1U);
  EXPECT_EQ(IdsOf(queue_.Cancel(1, 3)), Ids{3});
  EXPECT_TRUE(queue_.Cancel(1, 1).empty()) << "it runs";
  EXPECT_TRUE(answers_.TakeDuplicates(leader).empty());
}

TEST_F(FlightsTest, ExpireOneByOne) {
  PushFor(1, {.deadlineNs = 10});
  PushFor(2, {.deadlineNs = 30});
  PushFor(3, {.deadlineNs = 20});
  PushFor(4);
  EXPECT_EQ(IdsOf(queue_.TakeExpired(10)), Ids{1});
  EXPECT_EQ(IdsOf(queue_.TakeExpired(20)), Ids{3});
  EXPECT_EQ(models_[0]->gauge().items, 1);
  EXPECT_EQ(IdsOf(queue_.TakeExpired(30)), Ids{2});
  QueuedItem leader = TakeOne();
  EXPECT_EQ(leader.item.itemId, 4U);
  PushFor(5, {.deadlineNs = 40});
  EXPECT_EQ(IdsOf(queue_.TakeExpired(40)), Ids{5}) << "though the leader runs";
}

TEST_F(FlightsTest, EndWithTheirClient) {
  PushFor(1);
  QueuedItem leader = TakeOne();
  PushFor(2);
  PushFor(3, {.value = 8});
  PushFor(4, {.value = 8});
  EXPECT_EQ(PushFor(5, {.client = 2}), Pushed::kAccepted);
  EXPECT_EQ(queue_.DropClient(1).size(), 3U);
  EXPECT_TRUE(answers_.TakeDuplicates(leader).empty());
  EXPECT_EQ(TakeOne().item.itemId, 5U);
}

TEST_F(FlightsTest, AreAsUrgentAsTheMostUrgentOfThem) {
  PushFor(1, {.model = 0});
  PushFor(2, {.model = 1});
  PushFor(3, {.model = 1, .priority = 1});
  QueuedItem first = TakeOne();
  EXPECT_EQ(first.item.itemId, 2U) << "item 1 is older, but item 3 goes before it";
  PushFor(4, {.value = 8, .model = 1});
  PushFor(5, {.value = 8, .model = 1, .priority = 1});
  queue_.Cancel(1, 5);
  EXPECT_EQ(TakeOne().item.itemId, 1U);
}

TEST_F(FlightsTest, WaitAgainWhenTheLeaderIsAnsweredWithoutThem) {
  for (std::uint64_t id = 1; id <= 3; ++id) PushFor(id);
  QueuedItem leader = TakeOne();
  answers_.RequeueDuplicates(leader);
  answers_.Fail(leader, ItemStatus::kDeadlineExceeded, "");
  EXPECT_EQ(inbox_.Now().size(), 1U);
  EXPECT_EQ(PushFor(4), Pushed::kJoined);
  QueuedItem next = TakeOne();
  EXPECT_EQ(next.item.itemId, 2U);
  FinishWithDuplicates(next);
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
}

TEST_F(FlightsTest, FailTogether) {
  for (std::uint64_t id = 1; id <= 3; ++id) PushFor(id);
  QueuedItem leader = TakeOne();
  answers_.Fail(leader, ItemStatus::kFailed, "no");
  for (const auto& [id, answer] : inbox_.Wait(3)) EXPECT_EQ(answer.message, "no") << id;
}

TEST_F(FlightsTest, KeepTheirPlaceWhenOthersLeave) {
  PushFor(1, {.value = 1});
  PushFor(2, {.model = 1, .priority = 200});
  queue_.Cancel(1, 1);  // item 2 takes its place in the queue, item 3 that of item 2
  PushFor(3, {.value = 3});
  EXPECT_EQ(PushFor(4, {.model = 1, .priority = 1}), Pushed::kJoined);
  EXPECT_EQ(TakeOne().item.itemId, 2U) << "item 4 makes it urgent, not item 3";
}

// Few values and many threads: items join, lead, succeed, expire and are cancelled in every order; each is answered
// once, and nobody reads memory that has been given back (the responder frees it with the answer).
TEST_F(FlightsTest, AnswerEveryItemOnceWhateverComesTogether) {
  constexpr std::uint64_t kClients = 3;
  constexpr std::uint64_t kItemsPerClient = 1500;
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::atomic<std::uint64_t> joined{0};
  std::vector<std::thread> executors;
  for (std::size_t i = 0; i < kExecutors; ++i) {
    executors.emplace_back([&, i] {
      std::mt19937 random(seed + 100 + static_cast<unsigned>(i));
      while (true) {
        WorkQueue::Work work = queue_.Take(i);
        if (work.IsNone()) return;
        answers_.FailAll(std::move(work.expired), ItemStatus::kDeadlineExceeded, "");
        for (QueuedItem& queued : work.items) {
          if (random() % 2 == 0) std::this_thread::yield();
          const unsigned way = random() % 8;
          if (way == 0) answers_.RequeueDuplicates(queued);
          if (way <= 1) {
            answers_.Fail(queued, ItemStatus::kFailed, "");
          } else {
            FinishWithDuplicates(queued);
          }
        }
      }
    });
  }
  std::vector<std::thread> clients;
  for (std::uint64_t client = 1; client <= kClients; ++client) {
    clients.emplace_back([&, client] {
      std::mt19937 random(seed + static_cast<unsigned>(client));
      std::uniform_int_distribution<std::int64_t> spread(0, 50'000);
      for (std::uint64_t i = 0; i < kItemsPerClient; ++i) {
        const std::uint64_t id = client * 1'000'000 + i;
        QueuedItem queued = MakeFor(id, {.value = static_cast<std::int64_t>(random() % 3),
                                         .client = client,
                                         .model = static_cast<std::uint32_t>(random() % 2),
                                         .deadlineNs = random() % 8 == 0 ? MonotonicNowNs() + spread(random) : 0,
                                         .priority = static_cast<std::uint8_t>(random() % 3)});
        const Pushed pushed = queue_.Push(queued);
        if (pushed == Pushed::kFull) queued.item.responder->Fail(ItemStatus::kQueueFull, "");
        if (pushed == Pushed::kJoined) ++joined;
        if (random() % 4 == 0) answers_.FailAll(queue_.Cancel(client, id - random() % 4), ItemStatus::kCancelled, "");
        if (random() % 50 == 0) {
          answers_.FailAll(queue_.TakeExpired(MonotonicNowNs()), ItemStatus::kDeadlineExceeded, "");
        }
        if (random() % 100 == 0) answers_.FailAll(queue_.DropClient(client), ItemStatus::kCancelled, "");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  queue_.Close();
  for (std::thread& executor : executors) executor.join();
  EXPECT_TRUE(queue_.WaitUntilIdle(0));
  EXPECT_EQ(inbox_.Now().size(), kClients * kItemsPerClient);
  EXPECT_TRUE(inbox_.IsExact());
  EXPECT_GT(joined, 0U);
}

}  // namespace
}  // namespace interleave
