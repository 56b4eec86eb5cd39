// How long the queue of a live worker keeps its lock, and what the channel carries; for bench/larger.
//   queue_times
// Reads commands, one a line, and answers each with one line of numbers:
//   table LENGTHS ROWS length... rows... ns...    the cost table, for all that follows                        -> "ok"
//   hold EXECUTORS WAITING length...      medians in ns, uncontended: take a run, choose it (part of that), queue an
//                                         item, answer an item; and the mean of the rows of a run
//   contend EXECUTORS THREADS WAITING SECONDS length...  threads that only take and answer: runs a second
//   wake EXECUTORS                        ns until an item is queued while so many executors sleep, median
//   channel TOKENS SECONDS                one client, answers by the thread that reads: items a second, and CPU ns of
//                                         that thread for each
// WAITING items wait whenever a run is taken. Exits with 1 and a message on anything else.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <iostream>
#include <sstream>
#include <thread>

#include "channel/client.h"
#include "channel/server.h"
#include "clock.h"
#include "read_numbers.h"
#include "run/served_models.h"
#include "run/work_queue.h"

namespace interleave {
namespace {

constexpr std::size_t kRounds = 400;
constexpr std::int64_t kTimeoutNs = 30'000'000'000;
constexpr std::int64_t kRunRowsMax = 32;
constexpr std::int64_t kRunTokensMax = 4096;

class SilentResponder : public Responder {
 public:
  void MarkRunning() override {}
  void MarkGuilty() override {}
  std::byte* AddOutput(std::uint16_t, ElementType, const Shape&, std::size_t) override { return nullptr; }
  void Finish(const ItemTimes&) override {}
  void Fail(ItemStatus, std::string_view) override {}
};

double MedianOf(std::vector<std::int64_t>& values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return static_cast<double>(values[values.size() / 2]);
}

// The queue of a live worker with one model, and items for it.
class LiveQueue {
 public:
  LiveQueue(std::size_t executors, std::shared_ptr<const CostTable> costs, std::vector<std::int64_t> lengths)
      : lengths_(std::move(lengths)),
        model_(models_.Add({.name = "m", .version = "1", .revision = 1, .options = {}})),
        limits_{.rowsMax = kRunRowsMax, .tokensMax = kRunTokensMax, .cost = std::move(costs)},
        queue_({.lane = Lane::kRealtime,
                .clientItemsMax = SIZE_MAX,
                .cpus = std::vector<int>(executors, -1),
                .limits = [this](const ServedModel&) { return limits_; }}) {
    if (lengths_.empty()) throw std::invalid_argument("expected lengths");
  }

  WorkQueue& queue() { return queue_; }

  // As the engine makes it: with a key, so that it leads a flight.
  QueuedItem Make() {
    const std::uint64_t id = nextId_++;
    const std::int64_t nowNs = MonotonicNowNs();
    QueuedItem queued{.item = {}, .shape = {}, .enqueuedNs = nowNs, .model = model_, .contentKey = id};
    queued.item.clientId = 1;
    queued.item.itemId = id;
    queued.item.deadlineNs = nowNs + kTimeoutNs;
    queued.item.responder = std::make_unique<SilentResponder>();
    queued.shape.rows = 1;
    queued.shape.lengths = {lengths_[id % lengths_.size()], 0};
    return queued;
  }
  void Push() {
    QueuedItem queued = Make();
    queue_.Push(queued);
  }
  // All that an executor does with the queue when it answers.
  void Answer(QueuedItem& queued) {
    queue_.TakeDuplicates(queued);
    queue_.Release(queued.item.clientId);
    queue_.Done();
  }

 private:
  const std::vector<std::int64_t> lengths_;
  ServedModels models_;
  const ServedModels::Model model_;
  const ModelLimits limits_;
  std::atomic<std::uint64_t> nextId_{1};
  WorkQueue queue_;
};

std::vector<std::int64_t> ReadLengths(std::istream& from) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t length = 0; from >> length;) lengths.push_back(length);
  return lengths;
}

std::string Hold(std::istream& from, const std::shared_ptr<const CostTable>& costs) {
  const auto sizes = Read<std::size_t>(from, 2);
  LiveQueue live(sizes[0], costs, ReadLengths(from));
  for (std::size_t i = 0; i < sizes[1]; ++i) live.Push();
  std::vector<std::int64_t> takeNs, chooseNs, pushNs, answerNs;
  double rows = 0;
  for (std::size_t round = 0; round < kRounds; ++round) {
    const std::int64_t startedNs = MonotonicNowNs();
    WorkQueue::Work work = live.queue().Take(0);
    takeNs.push_back(MonotonicNowNs() - startedNs);
    chooseNs.push_back(work.formationNs);
    rows += static_cast<double>(work.items.size());
    for (QueuedItem& queued : work.items) {
      const std::int64_t answeredNs = MonotonicNowNs();
      live.Answer(queued);
      answerNs.push_back(MonotonicNowNs() - answeredNs);
      QueuedItem next = live.Make();
      const std::int64_t queuedNs = MonotonicNowNs();
      live.queue().Push(next);
      pushNs.push_back(MonotonicNowNs() - queuedNs);
    }
  }
  std::ostringstream answer;
  answer << MedianOf(takeNs) << ' ' << MedianOf(chooseNs) << ' ' << MedianOf(pushNs) << ' ' << MedianOf(answerNs) << ' '
         << rows / static_cast<double>(kRounds);
  return answer.str();
}

std::string Contend(std::istream& from, const std::shared_ptr<const CostTable>& costs) {
  const auto sizes = Read<std::size_t>(from, 4);
  LiveQueue live(sizes[0], costs, ReadLengths(from));
  for (std::size_t i = 0; i < sizes[2]; ++i) live.Push();
  std::atomic<bool> isOver{false};
  std::atomic<std::uint64_t> runs{0};
  const std::int64_t startedNs = MonotonicNowNs();
  std::vector<std::thread> threads;
  for (std::size_t executor = 0; executor < sizes[1]; ++executor) {
    threads.emplace_back([&, executor] {
      while (!isOver) {
        WorkQueue::Work work = live.queue().Take(executor);
        for (QueuedItem& queued : work.items) live.Answer(queued);
        for (std::size_t i = 0; i < work.items.size(); ++i) live.Push();
        ++runs;
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(sizes[3]));
  isOver = true;
  for (std::thread& thread : threads) thread.join();
  return std::to_string(static_cast<double>(runs) * 1e9 / static_cast<double>(MonotonicNowNs() - startedNs));
}

std::string Wake(std::istream& from, const std::shared_ptr<const CostTable>& costs) {
  const std::size_t executors = Read<std::size_t>(from, 1)[0];
  LiveQueue live(executors, costs, {32});
  std::vector<std::thread> threads;
  for (std::size_t executor = 0; executor < executors; ++executor) {
    threads.emplace_back([&, executor] {
      for (WorkQueue::Work work = live.queue().Take(executor); !work.IsNone(); work = live.queue().Take(executor)) {
        for (QueuedItem& queued : work.items) live.Answer(queued);
      }
    });
  }
  std::vector<std::int64_t> pushNs;
  for (std::size_t round = 0; round < kRounds; ++round) {
    while (live.queue().waitingExecutors() < executors) std::this_thread::sleep_for(std::chrono::microseconds(100));
    QueuedItem queued = live.Make();
    const std::int64_t queuedNs = MonotonicNowNs();
    live.queue().Push(queued);
    pushNs.push_back(MonotonicNowNs() - queuedNs);
  }
  live.queue().WaitUntilIdle(kTimeoutNs);
  live.queue().Close();
  for (std::thread& thread : threads) thread.join();
  return std::to_string(MedianOf(pushNs));
}

// Answers at once with its first input.
class EchoingSink : public ItemSink {
 public:
  void OnItem(Item item) override {
    const TensorView& input = item.inputs[0];
    std::byte* data = item.responder->AddOutput(0, input.type, input.shape, input.bytes);
    if (data != nullptr) std::memcpy(data, input.data, input.bytes);
    item.responder->Finish({});
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    cpuNs = used.tv_sec * 1'000'000'000 + used.tv_nsec;
  }
  void OnCancel(std::uint64_t, std::uint64_t) override {}
  void OnClientGone(std::uint64_t) override {}

  std::atomic<std::int64_t> cpuNs{0};  // of the thread that reads, so far
};

std::string Channel(std::istream& from) {
  constexpr std::uint32_t kItemsMax = 64;
  const auto sizes = Read<std::size_t>(from, 2);
  const std::string path = "/tmp/queue-times-" + std::to_string(getpid()) + ".sock";
  EchoingSink sink;
  ChannelServer server({.socketPath = path, .log = {}}, sink, "{}");
  const auto client = ChannelClient::Connect({path, std::uint64_t{1} << 24, kItemsMax});
  const std::vector<std::int64_t> ids(sizes[0], 7);
  Request request;
  request.revision = 1;
  request.responseBytes = 4096;
  for (std::uint16_t i = 0; i < 2; ++i) {
    TensorView input{.index = i, .type = ElementType::kInt64, .shape = {.rank = 2, .dims = {}}};
    input.shape.dims = {1, static_cast<std::int64_t>(ids.size())};
    input.data = reinterpret_cast<const std::byte*>(ids.data());
    input.bytes = ids.size() * sizeof(ids[0]);
    request.inputs.push_back(input);
  }
  std::uint64_t answered = 0;
  std::uint64_t sent = 0;
  std::vector<std::uint64_t> itemIds;
  const std::int64_t startedNs = MonotonicNowNs();
  const std::int64_t endNs = startedNs + static_cast<std::int64_t>(sizes[1]) * 1'000'000'000;
  while (MonotonicNowNs() < endNs) {
    while (sent - answered < kItemsMax && client->Submit({&request, 1}, itemIds)) ++sent;
    while (const auto completion = client->NextCompletion()) {
      client->FreeCompletion(completion->itemId);
      ++answered;
    }
  }
  const auto items = static_cast<double>(std::max<std::uint64_t>(1, answered));
  const std::string answer = std::to_string(items * 1e9 / static_cast<double>(MonotonicNowNs() - startedNs)) + ' ' +
                             std::to_string(static_cast<double>(sink.cpuNs) / items);
  server.Stop(std::chrono::milliseconds(0));
  unlink(path.c_str());
  return answer;
}

void Serve() {
  std::shared_ptr<const CostTable> costs = CostTable::Analytic();
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "table") {
      costs = ReadTable(words);
      std::cout << "ok" << std::endl;
    } else if (command == "hold") {
      std::cout << Hold(words, costs) << std::endl;
    } else if (command == "contend") {
      std::cout << Contend(words, costs) << std::endl;
    } else if (command == "wake") {
      std::cout << Wake(words, costs) << std::endl;
    } else if (command == "channel") {
      std::cout << Channel(words) << std::endl;
    } else {
      throw std::invalid_argument("expected table, hold, contend, wake or channel but received " + command);
    }
  }
}

}  // namespace
}  // namespace interleave

int main() {
  try {
    interleave::Serve();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "queue_times: " << error.what() << '\n';
    return 1;
  }
}
