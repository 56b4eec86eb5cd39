// Processes killed by SIGKILL in mid traffic. Children are forked before this process has threads.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <functional>
#include <map>

#include "channel/fd.h"
#include "channel_harness.h"

namespace interleave {
namespace {

// A forked process that runs `body` once told to, and is killed at the end.
class Child {
 public:
  explicit Child(const std::function<void()>& body) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    const Fd readEnd(ends[0]);
    start_ = Fd(ends[1]);
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start_.Close();
    char token = 0;
    if (read(readEnd.get(), &token, 1) == 1) body();
    _exit(0);
  }
  ~Child() { Kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Start() {
    if (write(start_.get(), "s", 1) != 1) std::abort();
  }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  Fd start_;
  pid_t pid_ = 0;
};

void FloodForEver(const std::string& socketPath) {
  auto client = ConnectTo(socketPath, 32, 1 << 20);
  for (std::uint64_t i = 0;; ++i) {
    const std::string text = "flood " + std::to_string(i) + std::string(i % 2000, '.');
    std::vector<std::uint64_t> ids;
    while (client->Submit(std::vector{EchoRequest(text)}, ids)) continue;
    NextAnswer(*client);
  }
}

TEST(ChannelKill, AKilledClientLeavesNothingInTheWorker) {
  const TempDir dir;
  std::vector<std::unique_ptr<Child>> children;
  for (int i = 0; i < 4; ++i) children.push_back(std::make_unique<Child>([&] { FloodForEver(dir.socketPath()); }));
  EchoSink sink(2);
  ChannelServer server({dir.socketPath(), 64, std::chrono::milliseconds(5000), {}}, sink, "hello");
  const Holdings before = CountHoldings();
  std::size_t gone = 0;
  for (auto& child : children) {
    child->Start();
    const std::uint64_t wanted = sink.itemsRun() + 300;
    while (sink.itemsRun() < wanted) std::this_thread::yield();
    child->Kill();
    sink.WaitUntilGone(++gone);
    ExpectHoldings(before);
  }
  EXPECT_EQ(server.Stats().clients, 0u);
  ExpectIdle(server);
}

// Executors still run items of a client that is gone: its memory must stay until they are done.
TEST(ChannelKill, TheMemoryOfAKilledClientOutlivesItsItems) {
  const TempDir dir;
  Child child([&] { FloodForEver(dir.socketPath()); });
  class Keeper final : public ItemSink {
   public:
    void OnItem(Item item) override {
      const std::lock_guard lock(mutex);
      items.push_back(std::move(item));
    }
    void OnCancel(std::uint64_t, std::uint64_t) override {}
    void OnClientGone(std::uint64_t) override { gone = true; }
    std::mutex mutex;
    std::vector<Item> items;
    std::atomic<bool> gone{false};
  } keeper;
  ChannelServer server({dir.socketPath(), 64, std::chrono::milliseconds(5000), {}}, keeper, "hello");
  child.Start();
  for (std::size_t queued = 0; queued < 32;) {
    const std::lock_guard lock(keeper.mutex);
    queued = keeper.items.size();
  }
  child.Kill();
  while (!keeper.gone) std::this_thread::yield();
  EXPECT_EQ(CountHoldings().regions, 1u);
  for (Item& item : keeper.items) {
    item.responder->MarkRunning();
    std::byte* data = item.responder->AddOutput(0, item.inputs[0].type, item.inputs[0].shape, item.inputs[0].bytes);
    ASSERT_NE(data, nullptr);
    std::memcpy(data, item.inputs[0].data, item.inputs[0].bytes);
    item.responder->Finish({});
  }
  keeper.items.clear();
  EXPECT_EQ(CountHoldings().regions, 0u);
}

void ServeForEver(const std::string& socketPath) {
  EchoSink sink(2);
  const ChannelServer server({socketPath, 64, std::chrono::milliseconds(5000), {}}, sink, "hello");
  for (;;) pause();
}

// A client that resubmits what a dead worker left behind gets every answer exactly once.
TEST(ChannelKill, NothingIsLostOrAnsweredTwiceWhenWorkersAreKilled) {
  constexpr int kWorkers = 5;
  constexpr int kItems = 3000;
  const TempDir dir;
  std::vector<std::unique_ptr<Child>> workers;
  for (int i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<Child>([&, i] { ServeForEver(dir.socketPath() + std::to_string(i)); }));
  }
  std::vector<int> answers(kItems, 0);
  std::vector<int> todo(kItems);
  for (int i = 0; i < kItems; ++i) todo[static_cast<std::size_t>(i)] = kItems - 1 - i;
  for (int number = 0; number < kWorkers; ++number) {
    const bool isLast = number == kWorkers - 1;
    const std::string path = dir.socketPath() + std::to_string(number);
    workers[static_cast<std::size_t>(number)]->Start();
    while (!std::filesystem::exists(path)) std::this_thread::yield();
    std::unique_ptr<ChannelClient> client;
    while (!client) {
      try {
        client = ConnectTo(path, 32);
      } catch (const ChannelError&) {
        std::this_thread::yield();  // bound, not yet listening
      }
    }
    std::map<std::uint64_t, int> inFlight;
    const auto count = [&](const Answer& answer) {
      ASSERT_EQ(inFlight.count(answer.itemId), 1u);
      const int item = inFlight[answer.itemId];
      ASSERT_EQ(answer.outputs, std::vector<std::string>{"item " + std::to_string(item)});
      ++answers[static_cast<std::size_t>(item)];
      inFlight.erase(answer.itemId);
    };
    for (int answered = 0; !todo.empty() || !inFlight.empty(); ++answered) {
      while (!todo.empty()) {
        const std::string text = "item " + std::to_string(todo.back());
        std::vector<std::uint64_t> ids;
        if (!client->Submit(std::vector{EchoRequest(text)}, ids)) break;
        inFlight.emplace(ids.at(0), todo.back());
        todo.pop_back();
      }
      if (!isLast && answered == kItems / kWorkers / 2) workers[static_cast<std::size_t>(number)]->Kill();
      const Answer answer = NextAnswer(*client);
      if (answer.itemId == 0) break;
      count(answer);
    }
    while (const auto completion = client->NextCompletion()) count(TakeAnswer(*client, *completion));
    while (const auto orphan = client->NextOrphan()) count(TakeAnswer(*client, *orphan));
    for (const ItemInFlight& item : client->ItemsInFlight()) {
      todo.push_back(inFlight.at(item.itemId));
      inFlight.erase(item.itemId);
    }
    EXPECT_TRUE(inFlight.empty());
  }
  EXPECT_EQ(answers, std::vector<int>(kItems, 1));
}

}  // namespace
}  // namespace interleave
