import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LogDocMergePolicy;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.FSDirectory;

/**
 * Indexes pre-tokenised texts and writes Lucene's ranked lists.
 *
 * Usage: LuceneLists WORKDIR DEPTH K1 B ... reads WORKDIR/texts and WORKDIR/questions (one a
 * line, terms separated by single spaces) and writes WORKDIR/lists-K1-B: a line per question
 * with document:score, best first.
 */
public class LuceneLists {
  /** The terms of a line, as they are. */
  static final class Terms extends TokenStream {
    private final CharTermAttribute term = addAttribute(CharTermAttribute.class);
    private final String[] terms;
    private int at;

    Terms(String line) {
      terms = line.isEmpty() ? new String[0] : line.split(" ");
    }

    @Override
    public boolean incrementToken() {
      clearAttributes();
      if (at == terms.length) {
        return false;
      }
      term.append(terms[at++]);
      return true;
    }
  }

  public static void main(String[] args) throws IOException {
    Path work = Path.of(args[0]);
    int depth = Integer.parseInt(args[1]);
    try (FSDirectory directory = FSDirectory.open(work.resolve("index"))) {
      index(work.resolve("texts"), directory);
      try (DirectoryReader reader = DirectoryReader.open(directory)) {
        for (int i = 2; i < args.length; i += 2) {
          Path out = work.resolve("lists-" + args[i] + "-" + args[i + 1]);
          IndexSearcher searcher = new IndexSearcher(reader);
          searcher.setSimilarity(
              new BM25Similarity(Float.parseFloat(args[i]), Float.parseFloat(args[i + 1])));
          rank(searcher, work.resolve("questions"), depth, out);
        }
      }
    }
  }

  static void index(Path texts, FSDirectory directory) throws IOException {
    IndexWriterConfig config = new IndexWriterConfig();
    config.setOpenMode(IndexWriterConfig.OpenMode.CREATE);
    config.setRAMBufferSizeMB(256);
    config.setMergePolicy(new LogDocMergePolicy()); // keeps documents in order
    FieldType type = new FieldType();
    type.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    type.setTokenized(true);
    type.freeze();
    try (IndexWriter writer = new IndexWriter(directory, config);
        BufferedReader lines = Files.newBufferedReader(texts)) {
      for (String line; (line = lines.readLine()) != null; ) {
        Document document = new Document();
        document.add(new Field("text", new Terms(line), type));
        writer.addDocument(document);
      }
      writer.forceMerge(1);
    }
  }

  static void rank(IndexSearcher searcher, Path questions, int depth, Path out)
      throws IOException {
    try (PrintWriter writer = new PrintWriter(Files.newBufferedWriter(out));
        BufferedReader lines = Files.newBufferedReader(questions)) {
      long spent = 0;
      int n = 0;
      for (String line; (line = lines.readLine()) != null; n++) {
        BooleanQuery.Builder query = new BooleanQuery.Builder();
        for (String term : line.isEmpty() ? new String[0] : line.split(" ")) {
          query.add(new TermQuery(new Term("text", term)), BooleanClause.Occur.SHOULD);
        }
        long start = System.nanoTime();
        ScoreDoc[] hits = searcher.search(query.build(), depth).scoreDocs;
        spent += System.nanoTime() - start;
        StringBuilder row = new StringBuilder();
        for (ScoreDoc hit : hits) {
          row.append(row.length() > 0 ? " " : "").append(hit.doc).append(':').append(hit.score);
        }
        writer.println(row);
      }
      System.out.printf("%s: %d questions, mean %.3f ms%n", out.getFileName(), n, spent / 1e6 / n);
    }
  }
}
