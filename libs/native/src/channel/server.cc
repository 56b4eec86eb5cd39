#include "channel/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "channel/blocks.h"
#include "channel/listener.h"
#include "channel/messages.h"
#include "channel/responder.h"
#include "channel/server_client.h"
#include "clock.h"

namespace interleave {
namespace {

// Cells taken from one client before the next one has its turn.
constexpr int kCellsPerTurnMax = 256;
constexpr std::uint64_t kListenerId = 0;
constexpr std::uint64_t kWakeId = 1;
constexpr std::uint64_t kFirstClientId = 2;
constexpr std::int64_t kNsPerMs = 1'000'000;

}  // namespace

// Everything but the fields under `mutex_` and the atomics belongs to the I/O thread, once it runs.
class ChannelServer::Loop {
 public:
  Loop(ChannelServerOptions options, ItemSink& sink, std::string text)
      : options_(std::move(options)),
        sink_(sink),
        listener_(ListenAt(options_.socketPath)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        spare_(SpareDescriptor()),
        signals_(std::make_shared<ServerSignals>()),
        text_(std::move(text)) {
    if (!epoll_.valid()) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    Watch(listener_.get(), kListenerId, EPOLLIN);
    Watch(signals_->wakeFd(), kWakeId, EPOLLIN);
    thread_ = std::thread([this] { Run(); });
  }

  ~Loop() { Stop(std::chrono::milliseconds(0)); }

  void PublishText(std::string text) {
    {
      const std::lock_guard lock(mutex_);
      text_ = std::move(text);
      textChanged_ = true;
    }
    signals_->WakeIoThread();
  }

  void Stop(std::chrono::milliseconds drainMax) {
    const std::lock_guard lock(stopMutex_);
    if (!thread_.joinable()) return;
    stopAtNs_.store(MonotonicNowNs() + drainMax.count() * kNsPerMs);
    signals_->draining.store(true);
    signals_->WakeIoThread();
    thread_.join();
  }

  ChannelServerStats Stats() const { return {clientCount_.load(), signals_->itemsInFlight.load()}; }

 private:
  void Run() {
    pthread_setname_np(pthread_self(), "channel");
    if (options_.prepareThread) options_.prepareThread();
    std::array<epoll_event, 64> events;
    while (!Finished()) {
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), TimeoutMs());
      if (options_.onActivity) TellActivity(count > 0);
      for (int i = 0; i < count; ++i) Handle(events[static_cast<std::size_t>(i)]);
      ExpireHandshakes();
      DropBroken();
      PumpReady();
    }
    while (!clients_.empty()) Drop(clients_.begin()->first, "");
    handshakes_.clear();
  }

  void TellActivity(bool hasInput) {
    const std::int64_t nowNs = MonotonicNowNs();
    const bool wasBusy = quietAtNs_ != 0;
    if (hasInput)
      quietAtNs_ = nowNs + options_.quietAfter.count() * kNsPerMs;
    else if (nowNs >= quietAtNs_)
      quietAtNs_ = 0;
    if (const bool isBusy = quietAtNs_ != 0; isBusy != wasBusy) options_.onActivity(isBusy);
  }

  bool Finished() {
    if (!signals_->draining.load()) return false;
    if (listener_.valid()) {
      listener_.Close();
      unlink(options_.socketPath.c_str());
      handshakes_.clear();
    }
    const bool answered = signals_->itemsInFlight.load() == 0 && ready_.empty();
    return answered || MonotonicNowNs() >= stopAtNs_.load();
  }

  int TimeoutMs() const {
    if (!ready_.empty()) return 0;
    std::int64_t untilNs = INT64_MAX;
    for (const auto& [id, handshake] : handshakes_) untilNs = std::min(untilNs, handshake.deadlineNs());
    if (signals_->draining.load()) untilNs = std::min(untilNs, stopAtNs_.load());
    if (quietAtNs_ != 0) untilNs = std::min(untilNs, quietAtNs_);
    if (untilNs == INT64_MAX) return -1;
    return static_cast<int>(std::clamp<std::int64_t>((untilNs - MonotonicNowNs()) / kNsPerMs + 1, 0, 60'000));
  }

  void Handle(const epoll_event& event) {
    if (event.data.u64 == kListenerId) return Accept();
    if (event.data.u64 == kWakeId) return OnWake();
    if (const auto handshake = handshakes_.find(event.data.u64); handshake != handshakes_.end()) {
      return OnHello(handshake->first, handshake->second);
    }
    const auto entry = clients_.find(event.data.u64);
    if (entry == clients_.end()) return;
    if ((event.events & EPOLLOUT) != 0) Flush(*entry->second);
    if ((event.events & ~std::uint32_t{EPOLLOUT}) == 0) return;
    // What a client submitted before it closed is void: nobody is left to read the answers.
    if (!entry->second->TakeDoorbells()) return Drop(entry->first, "");
    ready_.insert(entry->first);
  }

  void Accept() {
    for (;;) {
      if (!spare_.valid()) spare_ = SpareDescriptor();
      Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket.valid() && (errno == EMFILE || errno == ENFILE)) {
        if (RefuseForWantOfDescriptors()) continue;
        return;
      }
      if (!socket.valid()) return;
      if (clients_.size() + handshakes_.size() >= options_.clientsMax) {
        RefuseOn(socket.get(), 0, "the worker has no room for another client");
        continue;
      }
      const std::uint64_t id = nextId_++;
      Watch(socket.get(), id, EPOLLIN);
      handshakes_.emplace(
          std::piecewise_construct, std::forward_as_tuple(id),
          std::forward_as_tuple(std::move(socket), MonotonicNowNs() + options_.handshakeMax.count() * kNsPerMs));
    }
  }

  Fd SpareDescriptor() const { return Fd(fcntl(epoll_.get(), F_DUPFD_CLOEXEC, 0)); }

  // Gives up the spare descriptor for a moment, or the listener would stay readable and this thread would spin. False
  // when even that did not help, because another thread took it: the newcomer waits and the clients have their turn.
  bool RefuseForWantOfDescriptors() {
    spare_.Close();
    Fd refused(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!refused.valid()) return false;
    refused.Close();
    spare_ = SpareDescriptor();
    Log("client refused", 0, "the worker has no file descriptor left");
    return true;
  }

  void OnHello(std::uint64_t id, Handshake& handshake) {
    Region region;
    const auto progress = handshake.Read(region);
    if (progress == Handshake::Progress::kMore) return;
    if (progress == Handshake::Progress::kFailed) {
      RefuseOn(handshake.socket(), handshake.pid(), handshake.error());
      handshakes_.erase(id);
      return;
    }
    auto client =
        std::make_shared<ServerClient>(id, handshake.pid(), handshake.TakeSocket(), std::move(region), signals_);
    handshakes_.erase(id);
    {
      const std::lock_guard lock(mutex_);
      client->SendWelcome(EncodeWelcome(WelcomeStatus::kAccepted, text_));
    }
    clients_.emplace(id, std::move(client));
    clientCount_.store(clients_.size());
  }

  void RefuseOn(int socket, std::uint32_t pid, std::string_view reason) {
    const std::string message = EncodeWelcome(WelcomeStatus::kRefused, reason);
    [[maybe_unused]] const auto sent = send(socket, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    Log("client refused", pid, reason);
  }

  void ExpireHandshakes() {
    const std::int64_t now = handshakes_.empty() ? 0 : MonotonicNowNs();
    std::erase_if(handshakes_, [&](const auto& entry) { return entry.second.deadlineNs() <= now; });
  }

  void OnWake() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = read(signals_->wakeFd(), &count, sizeof count);
    PushText();
    for (const auto& [id, client] : clients_) Flush(*client);
  }

  void PushText() {
    std::string text;
    {
      const std::lock_guard lock(mutex_);
      if (!std::exchange(textChanged_, false)) return;
      text = text_;
    }
    for (const auto& [id, client] : clients_) client->SendText(text);
  }

  // Sends what is left over, and asks to be told when there is room for the rest.
  void Flush(ServerClient& client) {
    client.FlushSocket();
    const bool waiting = client.socketHasBacklog();
    if (waiting == (writers_.count(client.id()) != 0)) return;
    if (waiting) {
      writers_.insert(client.id());
    } else {
      writers_.erase(client.id());
    }
    epoll_event event{};
    event.events = EPOLLIN | (waiting ? std::uint32_t{EPOLLOUT} : 0u);
    event.data.u64 = client.id();
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.socket(), &event);
  }

  void DropBroken() {
    std::vector<std::uint64_t> broken;
    for (const auto& [id, client] : clients_) {
      if (client->broken()) broken.push_back(id);
    }
    for (const std::uint64_t id : broken) Drop(id, "it does not read its answers");
  }

  // One turn for each client that has submissions.
  void PumpReady() {
    const std::vector<std::uint64_t> turn(ready_.begin(), ready_.end());
    for (const std::uint64_t id : turn) {
      const auto entry = clients_.find(id);
      if (entry == clients_.end()) {
        ready_.erase(id);
        continue;
      }
      const std::shared_ptr<ServerClient> client = entry->second;
      const char* error = Pump(client);
      if (error != nullptr) Drop(id, error);
    }
  }

  // Returns how the client broke the protocol, or nullptr.
  const char* Pump(const std::shared_ptr<ServerClient>& client) {
    for (int i = 0; i < kCellsPerTurnMax; ++i) {
      SubmissionCell cell;
      switch (client->TakeCell(cell)) {
        case ServerClient::Next::kBroken:
          return "its ring is inconsistent";
        case ServerClient::Next::kEmpty:
          ready_.erase(client->id());
          return nullptr;
        case ServerClient::Next::kCell:
          if (const char* error = Apply(client, cell); error != nullptr) return error;
      }
    }
    return nullptr;
  }

  const char* Apply(const std::shared_ptr<ServerClient>& client, const SubmissionCell& cell) {
    if (cell.kind == CellKind::kCancel) {
      sink_.OnCancel(client->id(), cell.itemId);
      return nullptr;
    }
    if (cell.kind != CellKind::kSubmit) return "it sent an unknown kind of cell";
    if (!client->AdmitItem()) return "it has more items in flight than its ring holds";
    const auto response = client->BlockOf(cell.responseOffset, cell.responseBytes, kResponseBytesMin);
    const auto request = client->BlockOf(cell.requestOffset, cell.requestBytes, sizeof(RequestHeader));
    if (!response || !request) return "it sent a block outside the arena";
    auto item = ReadRequest(*request, cell.itemId);
    if (!item) return "it sent a malformed request block";
    item->clientId = client->id();
    item->responder = MakeResponder(client, cell.itemId, *response);
    if (signals_->draining.load()) {
      item->responder->Fail(ItemStatus::kUnavailable, "the worker is shutting down");
    } else {
      sink_.OnItem(std::move(*item));
    }
    return nullptr;
  }

  // `error` is empty when the client closed the channel itself.
  void Drop(std::uint64_t id, std::string_view error) {
    const auto entry = clients_.find(id);
    const std::shared_ptr<ServerClient> client = entry->second;
    clients_.erase(entry);
    clientCount_.store(clients_.size());
    ready_.erase(id);
    writers_.erase(id);
    if (!error.empty()) Log("client dropped", client->pid(), error);
    client->FlushSocket();
    client->Close();  // takes it out of epoll as well
    sink_.OnClientGone(id);
  }

  void Watch(int fd, std::uint64_t id, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
  }

  void Log(std::string_view what, std::uint32_t pid, std::string_view why) {
    if (options_.log) options_.log(std::string(what) + " (pid " + std::to_string(pid) + "): " + std::string(why));
  }

  const ChannelServerOptions options_;
  ItemSink& sink_;
  Fd listener_;
  Fd epoll_;
  Fd spare_;
  const std::shared_ptr<ServerSignals> signals_;
  std::uint64_t nextId_ = kFirstClientId;
  std::int64_t quietAtNs_ = 0;  // 0: nothing has come for a while, or nobody wants to know
  std::map<std::uint64_t, Handshake> handshakes_;
  std::map<std::uint64_t, std::shared_ptr<ServerClient>> clients_;
  std::set<std::uint64_t> ready_;    // clients that may have submissions
  std::set<std::uint64_t> writers_;  // clients whose socket buffer is full

  std::mutex mutex_;  // guards the two below
  std::string text_;
  bool textChanged_ = false;

  std::atomic<std::uint64_t> clientCount_{0};
  std::atomic<std::int64_t> stopAtNs_{0};
  std::mutex stopMutex_;  // guards joining
  std::thread thread_;
};

ChannelServer::ChannelServer(ChannelServerOptions options, ItemSink& sink, std::string text)
    : loop_(std::make_unique<Loop>(std::move(options), sink, std::move(text))) {}

ChannelServer::~ChannelServer() = default;

void ChannelServer::PublishText(std::string text) { loop_->PublishText(std::move(text)); }

void ChannelServer::Stop(std::chrono::milliseconds drainMax) { loop_->Stop(drainMax); }

ChannelServerStats ChannelServer::Stats() const { return loop_->Stats(); }

}  // namespace interleave
