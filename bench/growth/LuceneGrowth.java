import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.LowerCaseFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.snowball.SnowballFilter;
import org.apache.lucene.analysis.standard.StandardTokenizer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LogDocMergePolicy;
import org.apache.lucene.index.SerialMergeScheduler;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.FSDirectory;
import org.tartarus.snowball.ext.EnglishStemmer;

/**
 * Lucene's side of bench/growth: see main.go for what its commands do.
 *
 * <p>Usage: LuceneGrowth index TEXTS DIR N, or LuceneGrowth search DIR QUESTIONS. Indexing is timed up to its
 * commit, as it comes; then all segments are merged into one, which gives the size and is searched.
 */
public class LuceneGrowth {
  /** Words of Unicode in lower case, without accents, stemmed by Porter2: as evident's. */
  static final class EnglishWords extends Analyzer {
    @Override
    protected TokenStreamComponents createComponents(String field) {
      Tokenizer words = new StandardTokenizer();
      TokenStream terms = new ASCIIFoldingFilter(new LowerCaseFilter(words));
      return new TokenStreamComponents(words, new SnowballFilter(terms, new EnglishStemmer()));
    }
  }

  static final String FIELD = "indexed";
  static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  public static void main(String[] args) throws Exception {
    if (args[0].equals("index")) {
      index(Path.of(args[1]), Path.of(args[2]), Integer.parseInt(args[3]));
    } else {
      search(Path.of(args[1]), Path.of(args[2]));
    }
  }

  static void index(Path texts, Path dir, int n) throws IOException {
    long begun = System.nanoTime();
    IndexWriterConfig config = new IndexWriterConfig(new EnglishWords());
    config.setRAMBufferSizeMB(256);
    config.setMergeScheduler(new SerialMergeScheduler()); // one thread
    config.setMergePolicy(new LogDocMergePolicy()); // which keeps documents in order
    FieldType type = new FieldType();
    type.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    type.setTokenized(true);
    type.freeze();
    double seconds;
    double cpu;
    long peak;
    int parts;
    try (FSDirectory directory = FSDirectory.open(dir);
        IndexWriter writer = new IndexWriter(directory, config);
        BufferedReader lines = Files.newBufferedReader(texts)) {
      int start = 0;
      String path = "";
      for (int i = 0; i < n; i++) {
        String[] row = lines.readLine().split("\t", -1);
        start = row[0].equals(path) ? start : 0;
        path = row[0];
        Document document = new Document();
        document.add(new StoredField("path", path));
        document.add(new StoredField("title", row[1]));
        document.add(new StoredField("text", row[2]));
        document.add(new StoredField("start", start));
        document.add(new Field(FIELD, row[1] + " " + row[2], type));
        writer.addDocument(document);
        start += row[2].length();
      }
      writer.commit();
      try (DirectoryReader reader = DirectoryReader.open(directory)) {
        parts = reader.leaves().size();
      }
      seconds = (System.nanoTime() - begun) / 1e9;
      cpu =
          ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                  .getProcessCpuTime()
              / 1e9;
      peak = peak();
      writer.forceMerge(1);
      writer.commit();
    }
    long bytes = 0;
    for (File file : dir.toFile().listFiles()) {
      bytes += file.length();
    }
    System.out.printf(
        "{\"seconds\":%.3f,\"cpu\":%.3f,\"peak\":%d,\"bytes\":%d,\"parts\":%d}%n",
        seconds, cpu, peak, bytes, parts);
  }

  static long peak() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
      }
    }
    return 0;
  }

  static void search(Path dir, Path questions) throws IOException {
    List<String> asked = new ArrayList<>();
    for (String line : Files.readAllLines(questions)) {
      asked.add(line.substring(line.indexOf('\t') + 1));
    }
    Analyzer analyzer = new EnglishWords();
    try (FSDirectory directory = FSDirectory.open(dir);
        DirectoryReader reader = DirectoryReader.open(directory)) {
      IndexSearcher searcher = new IndexSearcher(reader);
      searcher.setSimilarity(new BM25Similarity(0.9f, 0.4f));
      searcher.setQueryCache(null); // every round is asked anew
      System.out.println("ready");
      BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
      for (String line; (line = in.readLine()) != null; ) {
        String[] words = line.split(" ");
        int k = Integer.parseInt(words[1]);
        StringJoiner answer = new StringJoiner(",", "[", "]");
        for (String question : asked) {
          long before = THREADS.getCurrentThreadCpuTime();
          ScoreDoc[] hits = searcher.search(query(analyzer, question), k).scoreDocs;
          if (words[0].equals("fetch")) {
            StoredFields stored = searcher.storedFields();
            for (ScoreDoc hit : hits) {
              stored.document(hit.doc);
            }
          }
          long spent = THREADS.getCurrentThreadCpuTime() - before;
          if (words[0].equals("hits")) {
            StringJoiner numbers = new StringJoiner(",", "[", "]");
            for (ScoreDoc hit : hits) {
              numbers.add(Integer.toString(hit.doc));
            }
            answer.add(numbers.toString());
          } else {
            answer.add(Long.toString(spent));
          }
        }
        System.out.println(answer);
      }
    }
  }

  /** Any of the words, as evident asks. */
  static BooleanQuery query(Analyzer analyzer, String question) throws IOException {
    BooleanQuery.Builder query = new BooleanQuery.Builder();
    try (TokenStream terms = analyzer.tokenStream(FIELD, question)) {
      CharTermAttribute term = terms.addAttribute(CharTermAttribute.class);
      terms.reset();
      while (terms.incrementToken()) {
        query.add(
            new TermQuery(new Term(FIELD, term.toString())), BooleanClause.Occur.SHOULD);
      }
      terms.end();
    }
    return query.build();
  }
}
