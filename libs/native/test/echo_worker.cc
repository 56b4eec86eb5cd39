// A worker without ONNX Runtime for the TypeScript tests: the real channel in front of EchoSink.
//
//   echo_worker SOCKET EXECUTORS TEXT
//
// Writes "listening", and "run ITEM ALONE PRIORITY" for each item that starts. Reads commands, one a line:
// "shut" and "open" (the gate before the executors), "text TEXT" (publish), each answered with "done"; "stop" (drain
// and exit). Ends with stdin.
#include <iostream>
#include <mutex>
#include <string>

#include "channel/server.h"
#include "echo_sink.h"

int main(int argc, char** argv) {
  using namespace interleave;
  if (argc != 4) return 2;
  std::mutex outputMutex;
  EchoSink sink(std::atoi(argv[2]), true, [&](const EchoSink::Started& started) {
    const std::lock_guard lock(outputMutex);
    std::cout << "run " << started.itemId << ' ' << started.alone << ' ' << int{started.priority} << std::endl;
  });
  ChannelServer server({argv[1], 64, std::chrono::milliseconds(5000), {}}, sink, argv[3]);
  {
    const std::lock_guard lock(outputMutex);
    std::cout << "listening" << std::endl;
  }
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "shut") sink.SetOpen(false);
    if (line == "open") sink.SetOpen(true);
    if (line.rfind("text ", 0) == 0) server.PublishText(line.substr(5));
    if (line == "stop") server.Stop(std::chrono::seconds(10));
    if (line == "stop") break;
    const std::lock_guard lock(outputMutex);
    std::cout << "done" << std::endl;
  }
  server.Stop(std::chrono::milliseconds(0));
  sink.Close();
}
