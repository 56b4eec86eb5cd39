// Random clients against a model: every item is answered exactly once, with its own content, or as cancelled if that
// was asked for; a submission is refused only when there is no room; at the end all memory is free again.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "channel_harness.h"

namespace interleave {
namespace {

class RandomClient {
 public:
  RandomClient(const std::string& socketPath, std::uint64_t seed)
      : random_(seed),
        cancels_(random_() % 2 == 0),
        itemsMax_(static_cast<std::uint32_t>(1 + random_() % 24)),
        client_(ConnectTo(socketPath, itemsMax_, 128 << 10)) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      switch (random_() % 4) {
        case 0:
        case 1:
          Submit();
          break;
        case 2:
          Cancel();
          break;
        case 3:
          Take(random_() % 8);
          break;
      }
    }
    while (!waiting_.empty() && !::testing::Test::HasFatalFailure()) CheckAnswer(NextAnswer(*client_));
    EXPECT_EQ(client_->freeBytes(), client_->arenaBytes());
    EXPECT_TRUE(client_->ItemsInFlight().empty());
    EXPECT_FALSE(client_->NextCompletion().has_value());
  }

 private:
  struct Waiting {
    std::string text;
    bool cancelled = false;
  };

  void Submit() {
    std::vector<std::string> texts(1 + random_() % 6);
    std::vector<Request> requests;
    std::uint64_t bytes = 0;
    for (std::string& text : texts) {
      text = std::string(random_() % 5000, static_cast<char>('a' + random_() % 26)) + std::to_string(random_());
      requests.push_back(EchoRequest(text, ResponseBytesFor(1, text.size())));
      requests.back().alone = random_() % 8 == 0;
      bytes += RequestBytes(requests.back()) + requests.back().responseBytes;
    }
    std::vector<std::uint64_t> ids;
    if (texts.size() > itemsMax_) {
      EXPECT_THROW(client_->Submit(requests, ids), ChannelError);
      return;
    }
    // Cancels that the worker has not read yet take room as well.
    const bool mustFit = !cancels_ && waiting_.empty() && bytes <= client_->arenaBytes();
    if (!client_->Submit(requests, ids)) {
      ASSERT_FALSE(mustFit);
      return;
    }
    ASSERT_LE(waiting_.size() + texts.size(), itemsMax_);
    ASSERT_EQ(ids.size(), texts.size());
    for (std::size_t i = 0; i < ids.size(); ++i) ASSERT_TRUE(waiting_.emplace(ids[i], Waiting{texts[i]}).second);
  }

  void Cancel() {
    if (!cancels_ || waiting_.empty()) return;
    const auto victim = std::next(waiting_.begin(), static_cast<long>(random_() % waiting_.size()));
    victim->second.cancelled = true;
    client_->Cancel(victim->first);
  }

  void Take(std::uint64_t count) {
    for (; count > 0; --count) {
      const auto completion = client_->NextCompletion();
      if (!completion) return;
      CheckAnswer(TakeAnswer(*client_, *completion));
    }
  }

  void CheckAnswer(const Answer& answer) {
    const auto entry = waiting_.find(answer.itemId);
    ASSERT_NE(entry, waiting_.end()) << "item " << answer.itemId << " was answered twice or never submitted";
    if (answer.status == ItemStatus::kCancelled) {
      EXPECT_TRUE(entry->second.cancelled);
    } else {
      EXPECT_EQ(answer.status, ItemStatus::kOk);
      EXPECT_EQ(answer.outputs, std::vector<std::string>{entry->second.text});
    }
    waiting_.erase(entry);
  }

  std::mt19937_64 random_;
  const bool cancels_;
  const std::uint32_t itemsMax_;
  std::unique_ptr<ChannelClient> client_;
  std::map<std::uint64_t, Waiting> waiting_;
};

TEST(ChannelRandom, ItemsAreAnsweredOnceAndMemoryComesBack) {
  const std::uint64_t seed = TestSeed();
  const TempDir dir;
  EchoSink sink(3);
  const ChannelServer server({dir.socketPath(), 64, std::chrono::milliseconds(5000), {}}, sink, "hello");
  std::vector<std::thread> threads;
  for (std::uint64_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      for (std::uint64_t round = 0; round < 5; ++round)
        RandomClient(dir.socketPath(), seed + number * 100 + round).Run(2000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectIdle(server);
}

}  // namespace
}  // namespace interleave
