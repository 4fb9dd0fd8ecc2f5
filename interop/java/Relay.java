import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Gives the headers of a loopback server the case that they have on the real service.
 *
 * <p>The loopback server writes all names in lowercase. cos_api keeps the length of an object under
 * the name it arrived with and then looks for {@code Content-Length}, so that it takes every object
 * for an empty one; aliyun-sdk-oss does not find {@code Content-Range} and takes the answer to a
 * ranged read for the whole object.
 */
final class Relay {
    private static final Map<String, Relay> RUNNING = new ConcurrentHashMap<>();
    private static final Map<String, String> NAMES = Map.of(
            "accept-ranges", "Accept-Ranges",
            "content-length", "Content-Length",
            "content-range", "Content-Range",
            "content-type", "Content-Type",
            "date", "Date",
            "etag", "ETag",
            "last-modified", "Last-Modified",
            "transfer-encoding", "Transfer-Encoding");

    private final URI server;
    private final Door door;
    private final ServerSocket listener;

    private Relay(String server, Door door) {
        this.server = URI.create(server);
        this.door = door;
        try {
            listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        start(this::accept);
    }

    /** What happens to a connection before its first request. */
    interface Door {
        Socket enter(Socket client) throws IOException;
    }

    /** Returns the port of a relay to a server. */
    static int port(String server) {
        return port(server, client -> client);
    }

    static int port(String server, Door door) {
        return RUNNING.computeIfAbsent(server, it -> new Relay(it, door)).listener.getLocalPort();
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void start(Work work) {
        var thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException e) {
                // A closed connection, which its other end sees too.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() throws IOException {
        while (true) {
            Socket client = listener.accept();
            start(() -> connect(door.enter(client)));
        }
    }

    private void connect(Socket client) throws IOException {
        try (client; var up = new Socket(server.getHost(), server.getPort())) {
            start(() -> {
                try (up) {
                    client.getInputStream().transferTo(up.getOutputStream());
                }
            });
            var answer = new BufferedInputStream(up.getInputStream());
            OutputStream out = client.getOutputStream();
            while (head(answer, out)) {
                // An interim answer; the final one follows.
            }
            answer.transferTo(out);
        }
    }

    /** Passes the head of an answer on and returns whether it was an interim one. */
    private static boolean head(InputStream in, OutputStream out) throws IOException {
        String status = line(in);
        boolean interim = status.startsWith("HTTP/1.1 1");
        var head = new StringBuilder(status).append("\r\n");
        for (String line = line(in); !line.isEmpty(); line = line(in)) {
            String name = line.substring(0, line.indexOf(':'));
            head.append(NAMES.getOrDefault(name, name)).append(line.substring(name.length()));
            head.append("\r\n");
        }
        // One answer a connection, so that only one head has to be found.
        head.append(interim ? "\r\n" : "Connection: close\r\n\r\n");
        out.write(head.toString().getBytes(StandardCharsets.ISO_8859_1));
        return interim;
    }

    static String line(InputStream in) throws IOException {
        var line = new ByteArrayOutputStream();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new IOException("the server closed the connection");
            }
            line.write(c);
        }
        return line.toString(StandardCharsets.ISO_8859_1).stripTrailing();
    }
}
